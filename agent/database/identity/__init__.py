"""The patient of a study, with the present identity after merges, and the order that the study fulfils."""
