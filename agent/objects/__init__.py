"""DICOM objects: header, pixels and stored bytes of one object, and which films of a study are drafted."""
