"""Configuration of the documentation: ``sphinx-build -W -b html docs docs/_build/html``."""

import sys
from pathlib import Path

import nwb_ophys

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "nwb_ophys"
author = "the nwb_ophys developers"
copyright = "2026, the nwb_ophys developers"
version = release = nwb_ophys.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "generated_tables",
    "markdown_pages",
]
exclude_patterns = ["_build", "_ext", "benchmarks"]

html_theme = "alabaster"
html_theme_options = {"description": nwb_ophys.__doc__.splitlines()[0], "page_width": "70rem"}
html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Sections of numpydoc are made by numpydoc; lists of members by autodoc.
numpydoc_show_class_members = False
