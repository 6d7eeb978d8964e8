"""Reports: HTML pages that show what is in NWB files."""

from nwb_ophys.reports.writing import write_batch_index, write_index, write_report

__all__ = ["write_batch_index", "write_index", "write_report"]
