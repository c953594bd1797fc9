"""Associations and HTTP that we open: storage, query, commitment, STOW-RS; statuses and TLS."""
