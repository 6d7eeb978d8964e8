"""Base classes of extractors: arrays, axes, ranges of samples, and sharing between threads."""
