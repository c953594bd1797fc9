"""Settings, errors, logs and the small pure rules that every other room uses."""
