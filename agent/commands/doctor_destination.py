"""The `doctor` checks of another application entity: whether it answers and accepts our documents, and if
not, why.
"""

from __future__ import annotations

from pydicom.uid import UID

from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import DestinationSettings, MwlSettings
from agent.network.port_probe import PortState, probe_dicom
from agent.network.scu import NoContext, Peer, associated
from agent.network.store_scu import echo
from agent.network.worklist_scu import offers_worklist
from dicom_sr.document import sop_classes_of


def trouble_of(peer: Peer) -> tuple[str, str] | None:
    """Send a C-ECHO; return None if it is answered, else what is wrong and what to do."""
    try:
        echo(peer)
    except AgentError as error:
        return _explained(peer, str(error))
    return None


def worklist_found(settings: MwlSettings, within_s: float) -> tuple[str, str]:
    """Check whether the modality worklist offers queries; return what was found, and what to do if it
    does not.
    """
    hurried = settings.model_copy(update={"timeout_s": min(settings.timeout_s, within_s)})
    where = f"{settings.ae_title} at {settings.host}:{settings.port}"
    try:
        offered = offers_worklist(hurried)
    except AgentError as error:
        said, remedy = _explained(hurried, str(error).replace("the destination", "the worklist"))
        return f"{where}: {said}", remedy
    if not offered:
        return f"{where}: it does not offer Modality Worklist", "name the RIS or broker that has the worklist"
    return f"{where} offers Modality Worklist{' over TLS' if settings.tls else ''}", ""


def document_trouble(destination: DestinationSettings) -> tuple[str, str] | None:
    """Propose the presentation contexts of our documents; return None if all are accepted."""
    wanted = sop_classes_of(destination.findings_sop_class, destination.documents)
    try:
        with associated(destination, wanted) as association:
            accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
    except NoContext:
        accepted = set()
    except AgentError as error:
        return _explained(destination, str(error))
    untaken = [UID(uid).name for uid in wanted if uid not in accepted]
    if not untaken:
        return None
    return (
        f"it does not accept {' and '.join(untaken)}, which our documents are",
        f"enable these SOP classes in the PACS for {destination.calling_ae_title}, or choose another "
        "`findings_sop_class`",
    )


def _explained(peer: Peer, said: str) -> tuple[str, str]:
    """Add what is at the port to what the association has shown."""
    usual = f"check host, port, AE title and TLS; the PACS must know {peer.calling_ae_title} and this address"
    if "rejects" in said:
        return said, usual
    state = probe_dicom(
        peer.host,
        peer.port,
        calling=peer.calling_ae_title,
        called=peer.ae_title,
        timeout_s=peer.timeout_s,
        tls=peer.tls is not None,
    )
    # With TLS the handshake has said what is wrong with a certificate.
    ours = (PortState.DICOM, PortState.TLS) if peer.tls is not None else (PortState.DICOM,)
    return (said, usual) if state in ours else (state.words, state.remedy)
