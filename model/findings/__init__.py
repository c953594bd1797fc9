"""Converts texts to findings and back; no torch."""
