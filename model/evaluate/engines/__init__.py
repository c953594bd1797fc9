"""Offline work in groups: sequentially in this process, or on the actors of a Ray cluster."""
