"""Who is denied, hedged, historical or only asked for: what cues govern, and the rules that decide."""
