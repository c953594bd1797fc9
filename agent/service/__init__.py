"""Settings to live objects to processes."""
