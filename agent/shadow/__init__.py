"""Shadow mode: drafts that go nowhere are compared with the signed reports of the same studies."""
