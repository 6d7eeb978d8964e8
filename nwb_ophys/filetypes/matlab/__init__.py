"""MATLAB files of versions 5 to 7.3: their variables, structs, ROIs and traces."""
