"""The listener: stores received objects durably, enters them as rows, and completes studies."""
