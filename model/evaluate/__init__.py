"""What a network is worth: tables, figures, perplexity."""
