"""OME metadata: OME-XML, the files of a recording, times and channels, Micro-Manager's tags."""
