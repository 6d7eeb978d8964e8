"""Reports: HTML pages that show what is in NWB files."""
