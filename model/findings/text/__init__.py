"""Converts the characters of a report to sentences and tokens, before any reading."""
