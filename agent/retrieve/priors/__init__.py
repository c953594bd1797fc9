"""The search for earlier studies of the patient in the archive."""
