"""The commands of `echo-agent`, one file for each kind. Each imports what it needs when it is run."""
