"""Earlier studies of the patient: search, choice, and what a draft is compared with."""
