"""Stored documents to the PACS, until it has them and has committed to them."""
