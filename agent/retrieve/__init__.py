"""Retrieval of studies from the archive, by C-FIND and C-MOVE or DICOMweb."""
