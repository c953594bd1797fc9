"""Training: stages from images to one-step reports. Loaded by `echo-model` alone, never by the agent."""
