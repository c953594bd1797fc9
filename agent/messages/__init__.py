"""A study's result as a message: its values and status, and the formats HL7 v2 and FHIR R4."""
