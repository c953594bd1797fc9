"""ECHO: image and context in, report text and findings out; knows no DICOM and no SQL."""
