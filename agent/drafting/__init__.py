"""The worker: runs claimed jobs through the network and writes each draft when it is done."""
