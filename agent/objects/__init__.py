"""One DICOM object: its header, pixels, view, eligibility, and where its bytes lie."""
