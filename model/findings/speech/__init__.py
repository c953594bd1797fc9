"""Resolves what is not said explicitly: corrections, elided subjects, contrasted sides."""
