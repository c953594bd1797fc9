"""Evaluation of networks: tables, figures, perplexity."""
