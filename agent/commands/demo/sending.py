"""A modality for the demo: sends objects by C-STORE; files are sent byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.association import Association

from agent.network.answers import leave_answers

leave_answers()

CALLING_AE_TITLE = "DEMO_MODALITY"
NO_CONTEXT = "no accepted presentation context"
# PS3.8 9.3.2.2: presentation context ids are odd and below 256.
MOST_CONTEXTS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """An object to send: a dataset with its file meta, or the file that holds it."""

    label: str
    content: Dataset | Path
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The outcome of sending an object: the DIMSE status, or the reason why it could not be sent."""

    label: str
    study_instance_uid: str
    status: int | None
    reason: str

    @property
    def accepted(self) -> bool:
        """Whether the agent took responsibility for it."""
        return self.status == 0x0000


def parcel_of(dataset: Dataset, label: str) -> Parcel:
    """Return a dataset with its file meta as a parcel."""
    return Parcel(
        label=label,
        content=dataset,
        sop_class_uid=str(dataset.file_meta.MediaStorageSOPClassUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        study_instance_uid=str(dataset.get("StudyInstanceUID", "")),
    )


def parcels_in(folder: Path) -> Iterator[Parcel | Sent]:
    """Return every file in a folder as a parcel, or why it cannot be sent."""
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        label = str(path.relative_to(folder))
        try:
            yield _read(path, label)
        # pydicom raises errors of many kinds on damaged files, and their texts may quote values.
        except Exception as error:  # noqa: BLE001
            yield Sent(
                label=label,
                study_instance_uid="",
                status=None,
                reason=f"not an object that can be sent ({type(error).__name__})",
            )


def _read(path: Path, label: str) -> Parcel:
    dataset = dcmread(path, force=True, stop_before_pixels=True)
    study = str(dataset.get("StudyInstanceUID", ""))
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and "TransferSyntaxUID" in meta and "MediaStorageSOPClassUID" in meta:
        return Parcel(
            label=label,
            content=path,
            sop_class_uid=str(meta.MediaStorageSOPClassUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            study_instance_uid=study,
        )
    whole = dcmread(path, force=True)
    whole.file_meta = FileMetaDataset()
    whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    whole.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return parcel_of(whole, label)


def send(
    parcels: Sequence[Parcel], *, host: str, port: int, called: str, calling: str = CALLING_AE_TITLE
) -> tuple[Sent, ...]:
    """Send objects over one association and return the result of each, in order."""
    entity = AE(ae_title=calling)
    for sop_class, syntax in sorted({(p.sop_class_uid, p.transfer_syntax_uid) for p in parcels})[
        :MOST_CONTEXTS
    ]:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(host, port, ae_title=called)
    if not association.is_established:
        return tuple(_not_sent(one, "the association was not accepted") for one in parcels)
    try:
        with _files_as_they_are():
            return tuple(_send_one(association, one, number) for number, one in enumerate(parcels, 1))
    finally:
        association.release()


def _send_one(association: Association, parcel: Parcel, number: int) -> Sent:
    if not _has_context(association, parcel):
        return _not_sent(parcel, NO_CONTEXT)
    try:
        answer = association.send_c_store(parcel.content, msg_id=number)
    # The file may be damaged in any way: whatever encoding it raises, the demo continues.
    except Exception as error:  # noqa: BLE001
        return _not_sent(parcel, f"cannot be encoded ({type(error).__name__})")
    status = answer.get("Status") if answer else None
    if status is None:
        return _not_sent(parcel, "no answer")
    return Sent(
        label=parcel.label,
        study_instance_uid=parcel.study_instance_uid,
        status=int(status),
        reason=f"0x{int(status):04X}",
    )


def _has_context(association: Association, parcel: Parcel) -> bool:
    return any(
        context.abstract_syntax == parcel.sop_class_uid
        and parcel.transfer_syntax_uid in (context.transfer_syntax or ())
        for context in association.accepted_contexts
    )


def _not_sent(parcel: Parcel, reason: str) -> Sent:
    return Sent(label=parcel.label, study_instance_uid=parcel.study_instance_uid, status=None, reason=reason)


@contextmanager
def _files_as_they_are() -> Iterator[None]:
    """Let pynetdicom send a file's dataset without decoding it."""
    before = _config.STORE_SEND_CHUNKED_DATASET
    _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        yield
    finally:
        _config.STORE_SEND_CHUNKED_DATASET = before


def by_study(parcels: Iterable[Parcel]) -> tuple[tuple[Parcel, ...], ...]:
    """Group parcels by study, in the order in which the studies first appear."""
    groups: dict[str, list[Parcel]] = {}
    for parcel in parcels:
        groups.setdefault(parcel.study_instance_uid, []).append(parcel)
    return tuple(tuple(group) for group in groups.values())
