"""The radiology information system: the orders, patients and reports that it sends, and worklists (UPS)."""
