"""HL7 v2: reading liberally, writing strictly, and sending over MLLP; knows no table and no study."""
