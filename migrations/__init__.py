"""The database's schema, one file per revision; run by `echo-agent db upgrade`."""
