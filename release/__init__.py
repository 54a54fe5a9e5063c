"""What a release is made with: every wheel built, proved and run. A development tool; nothing of it is shipped."""
