"""Turns reports and findings into DICOM Structured Reports. Pure: UIDs and times are arguments."""
