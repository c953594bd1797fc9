"""The audit record: rows that say who did what with which study, written in the transaction they describe."""
