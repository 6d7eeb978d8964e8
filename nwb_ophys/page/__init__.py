"""The page of ``nwb-ophys gui``: a local web page from a folder to a checked NWB file."""
