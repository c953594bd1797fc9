"""The state of the service: status, health, metrics, heartbeats, probes."""
