"""Turns a study's material into a draft, and a draft or a verdict into documents."""
