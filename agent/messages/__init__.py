"""A study's result as a message: its content and status, and the formats HL7 v2 and FHIR R4."""
