"""The listener: bytes to durable files to rows, and studies that are complete."""
