"""Associations and HTTP that we open: storage, query, commitment, STOW-RS, MLLP, FHIR; statuses and TLS."""
