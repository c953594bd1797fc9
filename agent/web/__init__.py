"""The radiologist's worklist: list, viewer, verdicts, sign-in."""
