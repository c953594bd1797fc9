"""Outgoing connections: storage, query, commitment, STOW-RS, MLLP, FHIR; statuses and TLS."""
