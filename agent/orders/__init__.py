"""What the RIS has told: orders, and who a patient is now; rows and how they are found."""
