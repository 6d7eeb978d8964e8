"""Benchmarks: each pairs us and a peer on the same data, alternating, medians of several rounds."""
