"""What a speaker means beyond the words: corrections, elided subjects, sides that are contrasted."""
