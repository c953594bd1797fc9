"""Audit events as DICOM audit messages, and their export to files and syslog servers."""
