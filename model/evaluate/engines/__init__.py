"""Offline work in groups: one after the other in this process, or on the actors of a Ray cluster."""
