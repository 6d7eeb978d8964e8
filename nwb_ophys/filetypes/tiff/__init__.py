"""TIFF files: page directories, checks for truncation, axes, and reading blocks of pages."""
