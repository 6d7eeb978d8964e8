"""Frames with metadata of their own: their order, times and settings in JSON objects."""
