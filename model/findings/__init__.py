"""Texts to findings and back; no torch."""
