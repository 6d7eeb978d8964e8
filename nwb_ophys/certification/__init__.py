"""Comparison of a written file with the hashes of its writing, and with the source files."""

from nwb_ophys.certification.report import Difference, FileReport
from nwb_ophys.certification.verifying import verify

__all__ = ["Difference", "FileReport", "verify"]
