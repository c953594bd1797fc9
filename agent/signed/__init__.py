"""Reports that radiologists signed elsewhere, read from a FHIR server and from Structured Reports."""
