"""Messages of the RIS: received over MLLP, stored, answered, and applied to orders, patients and reports."""
