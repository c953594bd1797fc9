"""Audit events of callers: who they are, and which contexts were not accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from agent.database.audit.record import NO_CONTEXT, Action, Event
from agent.network.contexts import VERIFICATION
from agent.receive.association_request import NEVER_SUPPORTED
from agent.receive.peers import Caller

# Most classes and syntaxes named in one event; a modality may propose 128 contexts.
_MOST_NAMED = 16


def calling(association: Association) -> str:
    """Return the calling AE title."""
    return str(association.requestor.ae_title).strip()


def address_of(association: Association) -> str:
    """Return the peer's IP address."""
    return str(association.requestor.address or "")


def association_event(action: Action, caller: Caller, reason_code: str | None = None) -> Event:
    """Return the event of a peer that was accepted or rejected."""
    details = {
        "called": caller.called_ae_title.strip(),
        "certificate": caller.certificate_sha256,
        "reason_code": reason_code,
    }
    return Event(
        action=action,
        actor=caller.calling_ae_title.strip(),
        address=caller.address,
        succeeded=action is Action.ASSOCIATION,
        details={key: value for key, value in details.items() if value is not None},
    )


def unmet_proposal(association: Association) -> Mapping[str, Any] | None:
    """Return what an association proposed besides C-ECHO if none of it was accepted, otherwise None."""
    request = association.requestor.primitive
    if not isinstance(request, A_ASSOCIATE):
        return None
    wanted = [
        one
        for one in request.presentation_context_definition_list
        if one.abstract_syntax not in (VERIFICATION, None)
    ]
    accepted = {str(one.abstract_syntax) for one in association.accepted_contexts} - {VERIFICATION}
    if not wanted or accepted:
        return None
    syntaxes = {str(uid) for one in wanted for uid in one.transfer_syntax} - {NEVER_SUPPORTED}
    return {
        "reason_code": NO_CONTEXT,
        "sop_classes": sorted({str(one.abstract_syntax) for one in wanted} - {NEVER_SUPPORTED})[:_MOST_NAMED],
        "syntaxes": sorted(syntaxes)[:_MOST_NAMED],
    }
