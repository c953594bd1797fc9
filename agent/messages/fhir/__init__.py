"""Results as FHIR R4: one transaction bundle for each revision."""
