"""Orders and patients as the RIS has reported them, and how they are found."""
