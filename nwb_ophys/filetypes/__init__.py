"""Readers of the file types that several formats share: TIFF, OME, MATLAB, HDF5 and npy."""
