"""Our side of N-EVENT-REPORT, with which a PACS answers a request for storage commitment.

Source: PS3.4 J.3.3 (operations), PS3.7 10.1.1 and annex C (statuses).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from pynetdicom import evt
from pynetdicom.presentation import PresentationContext, build_context

from agent.network.commitment_scu import STORAGE_COMMITMENT
from agent.network.scu import SYNTAXES


class ReportStatus(IntEnum):
    """The status that answers a report. Source: PS3.7 10.1.1.1.8 and annex C."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110  # unexpected error
    NO_SUCH_INSTANCE = 0x0112  # not the well-known instance of storage commitment
    NO_SUCH_EVENT = 0x0113  # neither event type 1 nor 2
    NO_SUCH_ARGUMENT = 0x0114  # no transaction UID
    INVALID_ARGUMENT = 0x0115  # not our transaction, not this peer's, or unreadable
    NOT_AUTHORIZED = 0x0124  # the association was not accepted
    UNRECOGNIZED = 0x0211  # a request for commitment: we are not a storage commitment SCP
    RESOURCE_LIMITATION = 0x0213  # too long, or the database is down: report again later


class ReportTaker(Protocol):
    """Handles the commitment reports that the listener receives."""

    def destinations_of(self, ae_title: str) -> frozenset[str]:
        """Return the names of the destinations that use this AE title."""

    def take(
        self, event: evt.Event, peer: frozenset[str], *, ae_title: str, address: str
    ) -> tuple[ReportStatus, str | None]:
        """Handle a report from the peer behind the destinations `peer`.

        Returns the status to answer, and the transaction's UID where the report was taken.
        """


def report_context() -> PresentationContext:
    """Return the context in which a peer may report: it is the SCP of storage commitment, we are the SCU.

    In pynetdicom's terms, the requestor's proposal to be SCP is accepted, and its proposal to be SCU is not.
    """
    context = build_context(STORAGE_COMMITMENT, list(SYNTAXES))
    context.scu_role, context.scp_role = False, True
    return context
