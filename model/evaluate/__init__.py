"""How good a network is: tables, figures, perplexity."""
