"""Simulated recordings, and the file types that several formats write their samples in."""
