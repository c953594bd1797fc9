"""Decides what is denied, hedged, historical or only asked about: the scopes of cues, and the rules."""
