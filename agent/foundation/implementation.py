"""Our implementation identity: the same for associations in both directions and for every file.

Source: PS3.7 D.3.3.2 (implementation identification), PS3.10 7.1 (the same in the file meta information).
"""

from __future__ import annotations

IMPLEMENTATION_CLASS_UID = "2.25.126711443003779431292327943258443368459"
IMPLEMENTATION_VERSION_NAME = "ECHO_AGENT"
