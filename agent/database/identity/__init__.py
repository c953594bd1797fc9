"""Whose study it is: the patient, present identity after merges, and the order that the study fulfils."""
