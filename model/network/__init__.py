"""The network itself: configuration, weights, tokenizer, masks, cache."""
