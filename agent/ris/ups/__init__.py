"""Drafts as Unified Procedure Steps: a worklist for others, and work from the worklists of others."""
