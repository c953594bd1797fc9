"""Shadow mode: drafts that are not delivered are compared with the signed reports of the same studies."""
