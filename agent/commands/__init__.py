"""The commands of `echo-agent`, a file for each kind. Each imports what it needs when it is run."""
