"""How the service is: status, health, metrics, heartbeats, probes."""
