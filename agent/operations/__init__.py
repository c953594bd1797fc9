"""Running the service: its state and heartbeats, retention of images, audit messages."""
