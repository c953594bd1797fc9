"""Retention: how long images are kept, and what is purged."""
