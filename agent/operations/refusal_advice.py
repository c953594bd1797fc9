"""What to change so that a refused sender is accepted: a line of `config.yaml`, or the sender."""

from __future__ import annotations

from pydicom.uid import UID

from agent.database.audit.record import CUT_OFF, NO_CONTEXT
from agent.foundation.settings.tree import ListenerSettings
from agent.operations.senders import SenderRefusal

# Stands in an AE title for a character that is not allowed there (`agent.receive.association_request`).
UNREADABLE = "?"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ADVICE_BY_REASON = {
    "full": "raise `listener.maximum_associations` or `listener.maximum_associations_per_peer`, or let it "
    "open fewer at a time",
    "stopping": "nothing: the listener was being stopped",
    "protocol-version": "look at the sender's software: it speaks another version of the protocol",
    "application-context": "look at the sender's software: its application context is not DICOM's",
    "no-context-proposed": "look at the sender's configuration: it proposes no presentation context",
    "request-malformed": "look at the sender's software: its association request cannot be read",
    "request-cut-off": "look at the network in between: the association request was cut off",
    "request-timeout": "look at the network in between, or raise `listener.acse_timeout_s`: its association "
    "request began and did not end",
    "no-association-request": "check what is connecting: it speaks another protocol, or TLS to a "
    "port without `listener.tls`",
    "tls-failed": "check that the sender uses TLS and shows a certificate, and that "
    "`listener.tls.authorities` has the authority that signed it",
    "pdu-timeout": "look at the network in between, or raise `listener.pdu_timeout_s`",
    "object-too-large": "raise `listener.maximum_object_mb`",
    "pdu-too-long": "look at the sender's software: it ignores the negotiated PDU length",
    "protocol-error": "look at the sender's software: it sent something that the protocol does not allow at "
    "that point, and was disconnected with an A-ABORT",
    "command-too-long": "look at the sender's software: its command set has more than 64 kB",
    "too-many-unanswered": "look at the sender's software: it does not wait for the answers to its requests",
    "no-token": "give the sender a token of `listener.stow.senders` (`Authorization: Bearer …`)",
    CUT_OFF: "look at the sender's log and the network in between: it broke off in the middle of an object",
}
# What differs for the HL7 port and the worklist's port; {address} is the sender's.
ADVICE_BY_ROLE = {
    "hl7": {
        "unknown-caller": "if it may send, add to `hl7.allow` in config.yaml: - {{address: '{address}'}}; an "
        "entry with `certificate_sha256` also needs that certificate",
        "full": "raise `hl7.maximum_connections`, or look why its connections stay open",
        "full-peer": "raise `hl7.maximum_connections_per_peer`, or look why its connections stay open",
    },
    "ups": {
        "unknown-called": "let it call `ups.ae_title`",
        NO_CONTEXT: "this is the port of the worklist (`ups.port`): images are sent to `listener.port`",
    },
}


def refusal_advice(refusal: SenderRefusal, listener: ListenerSettings) -> str:
    """Return what to do about one refusal."""
    code = refusal.reason_code
    if refusal.role in ADVICE_BY_ROLE and code in ADVICE_BY_ROLE[refusal.role]:
        return ADVICE_BY_ROLE[refusal.role][code].format(address=refusal.address)
    if code == "unknown-caller":
        return _caller_advice(refusal, listener)
    if code == "unknown-called":
        return (
            f"let it call `{listener.ae_title}`, or set `listener.require_called_ae_title: false` "
            "in config.yaml"
        )
    if code == NO_CONTEXT:
        return _context_advice(refusal, listener)
    return ADVICE_BY_REASON.get(code, "look at the sender's log; docs/operations.md explains the code")


def _caller_advice(refusal: SenderRefusal, listener: ListenerSettings) -> str:
    if not refusal.ae_title:
        return "give the sender an AE title, then add it to `listener.allow`"
    if UNREADABLE in refusal.ae_title:
        return (
            "give the sender an AE title of letters, digits and `_`, then add it to `listener.allow`: a "
            f"{UNREADABLE} stands for a character that an AE title must not have"
        )
    entries = [one for one in listener.allow if one.ae_title.strip() == refusal.ae_title]
    if any(one.certificate_sha256 for one in entries):
        return (
            "if its certificate was renewed, correct `certificate_sha256` of its entry in `listener.allow`; "
            "otherwise another machine uses its AE title"
        )
    title = refusal.ae_title.replace("'", "''")
    line = f"- {{ae_title: '{title}', address: '{refusal.address}'}}"
    return f"if it may send, add to `listener.allow` in config.yaml: {line}"


def wanted(refusal: SenderRefusal) -> str:
    """Return the proposed classes and syntaxes; empty if they were not the reason."""
    if not refusal.sop_classes:
        return ""
    classes = ", ".join(UID(uid).name for uid in refusal.sop_classes)
    syntaxes = ", ".join(UID(uid).name for uid in refusal.syntaxes)
    return f"it proposed {classes} in {syntaxes}" if syntaxes else f"it proposed {classes}"


def _context_advice(refusal: SenderRefusal, listener: ListenerSettings) -> str:
    if SECONDARY_CAPTURE in refusal.sop_classes and not listener.accept_secondary_capture:
        return "to take Secondary Capture set `listener.accept_secondary_capture: true` in config.yaml"
    return (
        "let it send Computed Radiography or Digital X-Ray Image Storage - For Presentation in a transfer "
        "syntax of docs/dicom-conformance.md; other classes are not drafted"
    )
