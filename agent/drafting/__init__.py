"""The worker: claimed jobs through the network, drafts written as they are done."""
