"""Drafts of the archive's old studies: found by date, retrieved within a budget, drafted last."""
