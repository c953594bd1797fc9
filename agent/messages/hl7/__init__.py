"""HL7 v2: reading liberally, writing strictly; knows no connection, no table and no study."""
