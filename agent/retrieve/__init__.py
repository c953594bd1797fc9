"""Studies that the agent asks the archive for, by C-FIND and C-MOVE or DICOMweb."""
