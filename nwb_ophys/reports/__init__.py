"""Reports: HTML pages that show what is in NWB files."""

from nwb_ophys.reports.writing import write_report

__all__ = ["write_report"]
