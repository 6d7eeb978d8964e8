"""Stateless functions that put pynwb objects into an ``NWBFile``, and that into a file."""
