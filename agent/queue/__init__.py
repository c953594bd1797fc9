"""Jobs and deliveries: states, leases, fencing tokens, retries."""
