"""The Sphinx site: prose in MyST, the reference from the docstrings of the installed wheels."""

import os

os.environ["LMDB_BINDINGS_FAST"] = "0"  # built-in methods have neither type hints nor their whole docstring

project = "One liblmdb for every wheel"
author = "The liblmdb-wheel authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = project
exclude_patterns = ["_build"]
nitpicky = False
myst_heading_anchors = 2
autodoc_member_order = "bysource"
autodoc_typehints = "description"
# The READMEs link to folders of the repository, and Pygments has no lexer for FlatBuffers schemas.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]
