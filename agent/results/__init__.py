"""What a message says of one revision of a study, whatever its format: values, and the order of states."""
