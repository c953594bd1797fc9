"""Values that pass between the network and the service; no torch."""
