"""Selects the films of a study to draft: routing by what each film shows, then choosing among them."""
