"""A walk through the element headers of an encoded dataset: no value is decoded, every length is checked.

The walk keeps its own stack and copies nothing but the wanted values, so a dataset can exhaust neither
Python's recursion nor the memory. It also counts: a dataset with more elements, items or levels than its
budget is refused immediately, because a parser needs kilobytes of memory for each of them.
Source: PS3.5 sections 7.1 (element structure), 7.5 (sequences), A.4 (encapsulated pixel data);
PS3.10 section 7.1 (file meta information).
"""

from __future__ import annotations

import struct
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from pydicom._dicom_dict import DicomDictionary

from agent.foundation.errors import ObjectOverBudget, UnreadableInstance

Buffer = bytes | bytearray | memoryview
# Tags from the dataset down to the value: (tag,), or (sequence's tag, tag) for a sequence's first item and
# (sequence's tag, tag, n) for its item n, from 1.
Path = tuple[int, ...]

UNDEFINED = 0xFFFFFFFF
MAXIMUM_DEPTH = 64
MAXIMUM_VALUE = 1024
# Items of a wanted sequence that are read; the others are skipped.
MAXIMUM_ITEMS = 8
PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH"}
    | {b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
# Values of these VRs are numbers or structures, never text: a wanted attribute with one of them counts as
# absent.
_BINARY_VRS = frozenset(
    {b"AT", b"FD", b"FL", b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SL", b"SQ", b"SS", b"SV", b"UL"}
    | {b"US", b"UV"}
)
_FRAGMENT_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV"})
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The budget of a dataset, over all its levels; the fragments of pixel data count as items."""

    elements: int
    items: int


# A radiograph has a few hundred elements. A structured report, which comes as the report of an earlier
# study, has about ten elements and three items for each of its content items.
BUDGET = Budget(elements=150_000, items=30_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The position of a top-level element in the bytes: its header from `start`, its value up to `end`.

    For an element of undefined length, `end` is after its delimiter. `vr` is empty in an implicit dataset.
    """

    vr: bytes
    start: int
    value_at: int
    end: int
    undefined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The wanted values as encoded (at most 1,024 bytes of each), and whether there is pixel data.

    spans: the top-level elements by tag; for a tag that occurs twice, the first one, as in `values`.
    """

    values: dict[Path, bytes]
    has_pixel_data: bool
    spans: dict[int, Span]


_SOP_CLASS, _SOP_INSTANCE = 0x00020002, 0x00020003
_TRANSFER_SYNTAX, _RECEIVING_AE_TITLE = 0x00020010, 0x00020018


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """A Part 10 file's preliminaries: where its dataset begins (byte), its encoding, its stated SOP class
    and instance, and the AE title that it was sent to.
    """

    dataset_at: int
    transfer_syntax_uid: str
    receiving_ae_title: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""


@dataclass(slots=True, kw_only=True)
class _Frame:
    """A dataset, sequence or run of fragments that the walk is currently in."""

    kind: str  # "elements", "items" or "fragments"
    end: int  # with a defined length it ends here; otherwise it may not go beyond
    defined: bool
    implicit: bool
    little: bool
    path: Path | None  # None: nothing inside is wanted
    items: int = 0
    # Whether the walk may continue after it if its content is damaged: its length is known.
    skippable: bool = False
    item: int = 0  # which item of its sequence these elements are in, from 0


@dataclass(slots=True, kw_only=True)
class _Walk:
    data: memoryview
    budget: Budget
    wanted: AbstractSet[Path]
    sequences: AbstractSet[int]
    values: dict[Path, bytes] = field(default_factory=dict)
    has_pixel_data: bool = False
    stack: list[_Frame] = field(default_factory=list)
    at: int = 0
    elements: int = 0
    items: int = 0
    # For each top-level element: tag, VR, start, start of the value, and whether its length is undefined.
    heads: list[tuple[int, bytes, int, int, bool]] = field(default_factory=list)
    # Where the last top-level element so far ends.
    ended: int = 0

    def spans(self) -> dict[int, Span]:
        """Return the first span of each tag."""
        ends = [*(head[2] for head in self.heads[1:]), self.ended]
        found: dict[int, Span] = {}
        for (tag, vr, start, value_at, undefined), end in zip(self.heads, ends, strict=False):
            found.setdefault(tag, Span(vr=vr, start=start, value_at=value_at, end=end, undefined=undefined))
        return found


def scan_dataset(
    data: Buffer, *, implicit: bool, little: bool, wanted: AbstractSet[Path], budget: Budget = BUDGET
) -> Scan:
    """Walk over a dataset and return the wanted values.

    Unwanted sequences are counted too; damage inside one of known length is skipped, because an optional
    attribute is no reason to refuse an image.

    Raises:
        ObjectOverBudget: more elements or items than the budget allows, or nested more than 64 deep.
        UnreadableInstance: the structure is damaged or cut off.
    """
    with memoryview(data).cast("B") as view:
        walk = _Walk(
            data=view,
            budget=budget,
            wanted=wanted,
            sequences=frozenset(path[0] for path in wanted if len(path) == 2),
        )
        walk.stack.append(
            _Frame(kind="elements", end=len(view), defined=True, implicit=implicit, little=little, path=())
        )
        while walk.stack:
            try:
                _step(walk)
            except ObjectOverBudget:
                raise
            except struct.error as error:
                if not _skip(walk):
                    raise UnreadableInstance("the dataset is cut off") from error
            except UnreadableInstance:
                if not _skip(walk):
                    raise
        return Scan(values=walk.values, has_pixel_data=walk.has_pixel_data, spans=walk.spans())


def _leave(walk: _Walk) -> None:
    """End the innermost frame; at the top level it was an element's value."""
    walk.stack.pop()
    if len(walk.stack) == 1:
        walk.ended = walk.at


def _skip(walk: _Walk) -> bool:
    """Continue after the innermost damaged sequence of known length; return whether there is one."""
    for depth in range(len(walk.stack) - 1, -1, -1):
        frame = walk.stack[depth]
        if frame.skippable:
            del walk.stack[depth + 1 :]
            walk.at = frame.end
            _leave(walk)
            return True
    return False


def scan_file_meta(data: Buffer) -> FileMeta:
    """Read the preamble and group 0002 of a Part 10 file.

    Raises:
        UnreadableInstance: it is not a Part 10 file, or names no transfer syntax.
    """
    with memoryview(data).cast("B") as view:
        if bytes(view[128:132]) != b"DICM":
            raise UnreadableInstance("the file has no DICM prefix")
        at = 132
        named = dict.fromkeys((_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX, _RECEIVING_AE_TITLE), "")
        try:
            while at < len(view) and bytes(view[at : at + 2]) == b"\x02\x00":
                tag, _, length, value_at = _explicit_header(view, at, little=True)
                if value_at + length > len(view):
                    raise UnreadableInstance("the file meta information is cut off")
                if tag in named:
                    raw = bytes(view[value_at : value_at + min(length, 64)])
                    named[tag] = raw.strip(b"\0 ").decode("ascii", errors="replace")
                at = value_at + length
        except struct.error as error:
            raise UnreadableInstance("the file meta information is cut off") from error
    if not named[_TRANSFER_SYNTAX]:
        raise UnreadableInstance("the file names no transfer syntax")
    return FileMeta(
        dataset_at=at,
        transfer_syntax_uid=named[_TRANSFER_SYNTAX],
        receiving_ae_title=named[_RECEIVING_AE_TITLE],
        sop_class_uid=named[_SOP_CLASS],
        sop_instance_uid=named[_SOP_INSTANCE],
    )


def _step(walk: _Walk) -> None:
    frame = walk.stack[-1]
    if walk.at >= frame.end:
        if not frame.defined or walk.at > frame.end:
            raise UnreadableInstance("a sequence or item does not end where it should")
        _leave(walk)
    elif frame.kind == "elements":
        _step_element(walk, frame)
    else:
        _step_item(walk, frame)


def _step_element(walk: _Walk, frame: _Frame) -> None:
    at, top = walk.at, len(walk.stack) == 1
    if frame.end - at < 8 and top and not any(walk.data[at:]):
        walk.at = frame.end  # a few zero bytes of padding after the last element
        return
    tag, vr, length, value_at = (_implicit_header if frame.implicit else _explicit_header)(
        walk.data, at, little=frame.little
    )
    if tag == _ITEM_END and not frame.defined:
        walk.at = at + 8
        _leave(walk)
        return
    if tag >> 16 in (0x0000, 0xFFFE):
        raise UnreadableInstance("a delimiter or command element stands where a data element should")
    walk.elements += 1
    if walk.elements > walk.budget.elements:
        raise ObjectOverBudget(f"the dataset has more than {walk.budget.elements} elements")
    if top:
        walk.heads.append((tag, vr, at, value_at, length == UNDEFINED))
        walk.has_pixel_data = walk.has_pixel_data or tag in PIXEL_DATA
    if length == UNDEFINED:
        _enter(walk, frame, tag, vr, end=frame.end, defined=False, at=value_at)
        return
    if value_at + length > frame.end:
        raise UnreadableInstance("an element is longer than what is left of the dataset")
    wanted_inside = top and tag in walk.sequences and (vr == b"SQ" or frame.implicit)
    if length and (wanted_inside or _is_sequence(tag, vr)):
        _enter(walk, frame, tag, vr, end=value_at + length, defined=True, at=value_at)
        walk.stack[-1].skippable = not wanted_inside
        return
    if top:
        walk.ended = value_at + length
    if frame.path is not None and (*frame.path, tag) in walk.wanted and vr not in _BINARY_VRS:
        path = (*frame.path, tag, frame.item) if frame.item else (*frame.path, tag)
        walk.values.setdefault(path, bytes(walk.data[value_at : value_at + min(length, MAXIMUM_VALUE)]))
    walk.at = value_at + length


def _is_sequence(tag: int, vr: bytes) -> bool:
    """Whether an element of known length holds items; if its VR is not stated, by the data dictionary."""
    if vr in (b"", b"UN"):
        entry = DicomDictionary.get(tag)
        return entry is not None and entry[0] == "SQ"
    return vr == b"SQ"


def _enter(walk: _Walk, frame: _Frame, tag: int, vr: bytes, *, end: int, defined: bool, at: int) -> None:
    if vr in _FRAGMENT_VRS and not frame.implicit:
        kind = "fragments"
    elif frame.implicit or vr in (b"SQ", b"UN"):
        kind = "items"
    else:
        raise UnreadableInstance("an element that is not a sequence has no length")
    # An unknown element of undefined length is Implicit VR Little Endian inside (PS3.5 6.2.2 note 7).
    unknown = vr == b"UN" and not frame.implicit
    wanted_inside = len(walk.stack) == 1 and tag in walk.sequences
    _push(
        walk,
        _Frame(
            kind=kind,
            end=end,
            defined=defined,
            implicit=frame.implicit or unknown,
            little=frame.little or unknown,
            path=(tag,) if wanted_inside else None,
        ),
    )
    walk.at = at


def _step_item(walk: _Walk, frame: _Frame) -> None:
    tag, _, length, value_at = _implicit_header(walk.data, walk.at, little=frame.little)
    if tag == _SEQUENCE_END and not frame.defined:
        walk.at = value_at
        _leave(walk)
        return
    if tag != _ITEM:
        raise UnreadableInstance("a sequence contains something that is not an item")
    frame.items += 1
    walk.items += 1
    if walk.items > walk.budget.items:
        raise ObjectOverBudget(f"the dataset has more than {walk.budget.items} items")
    if length == UNDEFINED:
        if frame.kind == "fragments":
            raise UnreadableInstance("a fragment of the pixel data has no length")
        end = frame.end
    else:
        end = value_at + length
        if end > frame.end:
            raise UnreadableInstance("an item is longer than what is left of its sequence")
    walk.at = value_at
    if frame.kind == "fragments":
        walk.at = end
        return
    path = frame.path if frame.items <= MAXIMUM_ITEMS else None
    _push(
        walk,
        _Frame(
            kind="elements",
            end=end,
            defined=length != UNDEFINED,
            implicit=frame.implicit,
            little=frame.little,
            path=path,
            item=frame.items - 1,
        ),
    )


def _push(walk: _Walk, frame: _Frame) -> None:
    if len(walk.stack) >= MAXIMUM_DEPTH:
        raise ObjectOverBudget("the dataset is nested more than 64 deep")
    walk.stack.append(frame)


def _implicit_header(data: memoryview, at: int, *, little: bool) -> tuple[int, bytes, int, int]:
    group, element, length = struct.unpack_from("<HHI" if little else ">HHI", data, at)
    return group << 16 | element, b"", length, at + 8


def _explicit_header(data: memoryview, at: int, *, little: bool) -> tuple[int, bytes, int, int]:
    order = "<" if little else ">"
    group, element = struct.unpack_from(order + "HH", data, at)
    tag = group << 16 | element
    if group == 0xFFFE:
        return tag, b"", struct.unpack_from(order + "I", data, at + 4)[0], at + 8
    vr = bytes(data[at + 4 : at + 6])
    if vr in _SHORT_VRS:
        return tag, vr, struct.unpack_from(order + "H", data, at + 6)[0], at + 8
    if len(vr) != 2 or not _LETTERS.issuperset(vr):
        raise UnreadableInstance("an element has no value representation: the encoding is not as declared")
    # Any VR that the standard may add has a length of four bytes (PS3.5 7.1.2).
    return tag, vr, struct.unpack_from(order + "I", data, at + 8)[0], at + 12
