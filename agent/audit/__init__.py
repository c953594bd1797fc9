"""Who did what with which study: audit events and their DICOM messages."""
