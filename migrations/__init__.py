"""The database's schema, one revision a file; run by `echo-agent db upgrade`."""
