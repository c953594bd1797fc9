"""A study's material to a draft, a draft or a verdict to documents."""
