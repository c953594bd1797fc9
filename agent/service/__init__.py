"""Builds live objects from the settings, and runs them as processes."""
