"""Delivery of stored documents to the PACS, until it has stored and committed to them."""
