"""Reads a file with pydicom only after counting its elements, and only the attributes in use.

pydicom needs kilobytes of memory for each item and element: a file of 32 MB with four million empty items
took 13.5 GB and 143 s. A walk over the element headers, which copies nothing, comes first.
Source: PS3.10 section 7.1 (files), PS3.5 section A.5 (deflated).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.tag import BaseTag

from agent.foundation.errors import ObjectOverBudget
from agent.objects.element_walk import BUDGET, Budget, Buffer, Scan, Span, scan_dataset, scan_file_meta
from agent.objects.header import DEFLATED_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE, inflate
from agent.objects.shutter_overlay import overlay_tags, shutter_overlay
from agent.objects.used_attributes import is_used

# The budget of an image's used attributes; in a radiograph these have a few dozen items.
USED_BUDGET = Budget(elements=20_000, items=2_000)
# A used value, and a used sequence with its look-up tables, may have this many bytes.
_LONGEST_VALUE, _LONGEST_SEQUENCE = 65_536, 4 * 2**20
# One bit for each pixel of the largest image.
_LONGEST_OVERLAY = 8 * 2**20
# File meta information (bytes) has a few hundred.
_LONGEST_META = 65_536
_PIXEL_DATA = 0x7FE00010
_CHARACTER_SET = 0x00080005
_DELIMITER = 8


def read_used(path: Path, *, pixels: bool) -> FileDataset:
    """Read the attributes of an image that are used (`agent.objects.used_attributes`), lazily.

    pixels: include its Pixel Data.

    Raises:
        UnreadableInstance: no DICOM file, damaged, or over the budget (`ObjectOverBudget`).
        Exception: whatever else pydicom raises on a broken file.
    """
    with _dataset_of(path) as (data, syntax):
        meta = read_file_meta_info(path)
        implicit, little = syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG
        spans = _scan(data, syntax, BUDGET).spans
        taken = {tag: one for tag, one in spans.items() if _is_taken(tag, one)}
        charset = taken.get(_CHARACTER_SET)
        if (
            charset is not None
            and not implicit
            and bytes(data[charset.start + 4 : charset.start + 6]) != b"CS"
        ):
            del taken[_CHARACTER_SET]  # pydicom reads it immediately, and fails on any other VR
        used = b"".join(data[one.start : one.end] for one in taken.values())
        _scan(used, syntax, USED_BUDGET)
        dataset = read_dataset(BytesIO(used), implicit, little)
        if pixels and (group := shutter_overlay(dataset)) is not None:
            overlay = [spans[tag] for tag in overlay_tags(group) if tag in spans]
            plane = b"".join(
                data[one.start : one.end] for one in overlay if one.end - one.start <= _LONGEST_OVERLAY
            )
            dataset.update(read_dataset(BytesIO(plane), implicit, little))
        if pixels and _PIXEL_DATA in spans:
            raw = _pixel_data(data, spans[_PIXEL_DATA], implicit=implicit, little=little)
            dataset[raw.tag] = raw
    return _as_file(dataset, meta, path, implicit=implicit, little=little)


def read_whole(path: Path) -> FileDataset:
    """Read all of a file, after its elements have been counted: for Structured Reports.

    Raises:
        UnreadableInstance: no DICOM file, damaged, or over the budget (`ObjectOverBudget`).
        Exception: whatever else pydicom raises on a broken file.
    """
    with _dataset_of(path) as (data, syntax):
        _scan(data, syntax, BUDGET)
    return dcmread(path)


def check_budget(data: Buffer, transfer_syntax_uid: str, budget: Budget = BUDGET) -> None:
    """Count the elements of an encoded dataset (no preamble, no file meta) before it is parsed.

    Raises:
        UnreadableInstance: damaged, or over the budget (`ObjectOverBudget`).
    """
    _scan(data, transfer_syntax_uid, budget)


def _scan(data: Buffer, syntax: str, budget: Budget) -> Scan:
    return scan_dataset(
        data,
        implicit=syntax == IMPLICIT_LITTLE,
        little=syntax != EXPLICIT_BIG,
        wanted=frozenset(),
        budget=budget,
    )


@contextmanager
def _dataset_of(path: Path) -> Iterator[tuple[memoryview, str]]:
    """Yield a file's dataset, inflated if necessary, and its transfer syntax."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        meta = scan_file_meta(view)
        if meta.dataset_at > _LONGEST_META:
            raise ObjectOverBudget(f"the file meta information has more than {_LONGEST_META} bytes")
        with view[meta.dataset_at :] as stored:
            if meta.transfer_syntax_uid != DEFLATED_LITTLE:
                yield stored, meta.transfer_syntax_uid
                return
            with memoryview(inflate(stored)) as inflated:
                yield inflated, meta.transfer_syntax_uid


def _is_taken(tag: int, span: Span) -> bool:
    if not is_used(tag):
        return False
    sequence = span.undefined or span.vr in (b"SQ", b"")
    return span.end - span.start <= (_LONGEST_SEQUENCE if sequence else _LONGEST_VALUE)


def _pixel_data(data: memoryview, span: Span, *, implicit: bool, little: bool) -> RawDataElement:
    """Return the Pixel Data as pydicom's own reader would: for fragments, everything except their
    delimiter.
    """
    value = bytes(data[span.value_at : span.end - (_DELIMITER if span.undefined else 0)])
    return RawDataElement(
        tag=BaseTag(_PIXEL_DATA),
        VR=None if implicit else span.vr.decode("ascii"),
        length=0xFFFFFFFF if span.undefined else len(value),
        value=value,
        value_tell=span.value_at,
        is_implicit_VR=implicit,
        is_little_endian=little,
    )


def _as_file(
    dataset: Dataset, meta: FileMetaDataset, path: Path, *, implicit: bool, little: bool
) -> FileDataset:
    made = FileDataset(str(path), dataset, file_meta=meta, is_implicit_VR=implicit, is_little_endian=little)
    made.set_original_encoding(implicit, little, made._character_set)
    return made
