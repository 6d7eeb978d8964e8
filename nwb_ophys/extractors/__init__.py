"""Readers of raw recordings that roiextractors lacks or that mend a known defect of its own."""
