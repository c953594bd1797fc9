"""The command `echo-model`."""
