"""Training: the stages from images to one-step reports. Loaded only by `echo-model`, never by the agent."""
