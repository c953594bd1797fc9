"""The region that a code means: from the standard's tables as shipped with pydicom, else from the code's
meaning.

Source: PS3.16 CID 4009 (DX Anatomy Imaged), 4031 (Common Anatomic Regions), 4010 (DX View); SNOMED CT codes
and their older SRT equivalents (PS3.16 Annex L and J).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_REGIONS, _VIEWS = (4009, 4030, 4031), (4010,)
# Codes for the thorax and structures in it that devices use but those tables lack.
_MORE = {
    "51185008": "Thorax",
    "302551006": "Thorax",
    "43799004": "Thoracic cavity",
    "T-D3000": "Thorax",
    "T-D3200": "Thorax",
    "T-D3005": "Thorax",
    "39607008": "Lung",
    "T-28000": "Lung",
    "3341006": "Lung",
    "T-28100": "Lung",
    "44029006": "Lung",
    "T-28500": "Lung",
    "74101002": "Lungs",
    "181216001": "Lung",
    "3120008": "Pleura",
    "T-29000": "Pleura",
    "78904004": "Chest wall",
    "T-D3050": "Chest wall",
    "T-D3300": "Mediastinum",
    "T-11300": "Rib",
    "113197003": "Rib",
    "38266002": "Whole body",
    "RID1243": "Thorax",
    "RID1301": "Lung",
}
# SRT codes of CID 4010 in older editions of PS3.16, which devices still write.
_OLDER_VIEWS = {"R-10214": "postero-anterior", "R-10218": "right anterior oblique"}
# Designators of SNOMED codes; under others the same value may mean something else.
_SCHEMES = frozenset({"SCT", "SRT", "SNM3", "99SDM", "SNOMED", "SNOMEDCT", "SNOMEDRT", "RADLEX", "DCM", ""})


def region_meaning(value: str, scheme: str) -> str:
    """Return the English meaning of a body region's code; empty if no table has it."""
    return _looked_up(value, scheme, _table(_REGIONS)) or (_MORE.get(value, "") if _known(scheme) else "")


def view_meaning(value: str, scheme: str) -> str:
    """Return the English meaning of a view's code; empty if no table has it."""
    return _looked_up(value, scheme, _table(_VIEWS)) or _looked_up(value, scheme, _OLDER_VIEWS)


def _known(scheme: str) -> bool:
    return "".join(one for one in scheme.upper() if one.isalnum()) in _SCHEMES


def _looked_up(value: str, scheme: str, table: dict[str, str]) -> str:
    return table.get(value.strip().upper(), "") if _known(scheme) else ""


@lru_cache(maxsize=4)
def _table(cids: tuple[int, ...]) -> dict[str, str]:
    """Return code value to meaning, with the SRT equivalents of the SCT codes."""
    # Imported here because the tables take a third of a second, and most processes never look a code up.
    from pydicom.sr._cid_dict import cid_concepts
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    found: dict[str, str] = {}
    tables: Any = concepts  # pydicom types it as plain objects
    older = mapping["SCT"]
    for cid in cids:
        for scheme, names in cid_concepts[cid].items():
            for name in names:
                for value, (meaning, members) in tables[scheme][name].items():
                    if cid not in members:
                        continue
                    found[value] = meaning
                    if scheme == "SCT" and value in older:
                        found[older[value]] = meaning
    return found
