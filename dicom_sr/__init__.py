"""Report and findings in, DICOM Structured Reports out: pure, with UIDs and times as arguments."""
