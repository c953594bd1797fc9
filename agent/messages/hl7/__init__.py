"""HL7 v2: reads liberally, writes strictly; independent of connections, the database and studies."""
