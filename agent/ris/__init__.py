"""The radiology information system: orders, patients and reports that it tells of, and worklists (UPS)."""
