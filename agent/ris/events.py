"""The ADT events that concern a patient's identity, and the effect of each. Pure.

Source: HL7 v2.3 to v2.8, chapter 3 (events A01 to A51) and table 0003.
"""

from __future__ import annotations

# Events that state a patient's present name, date of birth and sex: admission, transfer, registration,
# update.
CHANGES = tuple(f"ADT^A{number:02}" for number in (*range(1, 9), 28, 31))
# PID is the surviving patient, MRG the earlier identifier of the same one.
MERGES = tuple(f"ADT^A{number}" for number in (18, 30, 34, 36, 39, 40, 47))
# The same for an external or alternate identifier, which the images may not use.
OTHER_IDENTIFIERS = ("ADT^A46", "ADT^A48")
# What belonged to the patient in MRG-1 now belongs to the patient in PID-3.
MOVES = ("ADT^A43", "ADT^A44", "ADT^A45")
UNLINK = "ADT^A37"
# Events that change no identifier used in images.
UNCHANGED = {
    "ADT^A24": "linked patients keep records of their own",
    UNLINK: "links are not used, so there is none to undo",
    "ADT^A35": "only an account number changes",
    "ADT^A41": "only account numbers are merged",
    "ADT^A42": "only visit numbers are merged",
    "ADT^A49": "only an account number changes",
    "ADT^A50": "only a visit number changes",
    "ADT^A51": "only an alternate visit identifier changes",
    "ADT^A23": "the deletion of a patient's record is not applied",
    "ADT^A29": "the deletion of a person is not applied",
}
