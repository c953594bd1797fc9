"""Settings, errors, logs and the small pure rules that every room stands on."""
