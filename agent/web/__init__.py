"""What a radiologist sees: list, viewer, verdicts, sign-in."""
