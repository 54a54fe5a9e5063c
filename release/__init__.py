"""What a release is made and judged by: development tools, of which nothing is shipped."""
