"""Every attribute of another system's object is read by guarded accessors and tested with wrong values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.datadict import keyword_dict, keyword_for_tag
from pydicom.sequence import Sequence

from agent.objects.films.study import read_study
from tests.support.films import chest_film, file_bytes
from tests.unit.agent.objects.test_wrong_values import keywords, read_everything

# The packages that read what scanners and archives send.
ROOMS = (
    *("agent/objects", "agent/retrieve", "agent/reports", "agent/drafting", "agent/network"),
    *("agent/receive", "agent/database/identity", "agent/delivery", "agent/web", "dicom_sr"),
)
# Plain reads that are safe: of the file's meta information and of an image that was checked before; of
# command sets, which pynetdicom has parsed; and in one `try` for a whole report.
PLAIN = {
    "agent/objects/pixels.py": {"PixelData", "TransferSyntaxUID"},
    "agent/receive/pending_answers.py": {"AffectedSOPClassUID", "MessageID"},
    "agent/receive/scp.py": {"AffectedSOPClassUID", "AffectedSOPInstanceUID"},
    "agent/network/commitment_scu.py": {"Status"},
    "agent/network/query_scu.py": {"Status"},
    "agent/network/store_scu.py": {"Status"},
    "agent/network/worklist_scu.py": {"Status"},
    "agent/delivery/commitment_reports.py": {
        *("AffectedSOPInstanceUID", "EventTypeID", "FailedSOPSequence", "ReferencedSOPSequence"),
        *("ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "TransactionUID"),
    },
}
# These create or read our own documents, never an object of another system.
OWN_DOCUMENTS = {
    *("agent/reports/messages.py", "agent/reports/preview.py", "agent/reports/publish.py"),
    *("agent/reports/sign_off.py", "agent/reports/withdraw.py", "dicom_sr/key_images.py"),
    *("dicom_sr/assembly.py", "dicom_sr/header.py", "dicom_sr/independent.py", "dicom_sr/rejection_note.py"),
    *("dicom_sr/sheet_objects.py", "dicom_sr/values.py"),
}


def plain_reads(path: Path) -> Iterator[str]:
    """The keywords that a module reads from an object as `dataset.Rows`, `dataset["Rows"]` or by `get`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Attribute(attr=keyword, ctx=ast.Load()):
                pass
            case ast.Subscript(
                value=ast.Name(id="dataset" | "header" | "item" | "document" | "answer"),
                slice=ast.Constant(value=str(keyword)),
                ctx=ast.Load(),
            ):
                pass
            case ast.Call(
                func=ast.Attribute(attr="get" | "get_item" | "pop"),
                args=[ast.Constant(value=str(keyword)), *_],
            ):
                pass
            case _:
                continue
        if keyword[:1].isupper() and keyword in keyword_dict:
            yield keyword


def test_foreign_attributes_are_read_through_the_guarded_accessors(repository: Path) -> None:
    """An attribute read in any other way raises if its VR is wrong; each exception has its reason."""
    unguarded = {}
    for room in ROOMS:
        for path in sorted((repository / room).rglob("*.py")):
            name = path.relative_to(repository).as_posix()
            if name not in OWN_DOCUMENTS and (found := set(plain_reads(path)) - PLAIN.get(name, set())):
                unguarded[name] = found
    assert unguarded == {}


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The keywords that are read from any dataset from now on."""
    found: set[str] = set()

    def noted(name: str) -> Any:
        plain = getattr(Dataset, name)

        def asked(self: Dataset, key: Any, *rest: Any) -> Any:
            keyword = key if isinstance(key, str) else keyword_for_tag(key) if isinstance(key, int) else ""
            if keyword[:1].isupper():
                found.add(keyword)
            return plain(self, key, *rest)

        return asked

    for name in ("__getitem__", "__contains__", "__getattr__", "get", "get_item"):
        monkeypatch.setattr(Dataset, name, noted(name))
    return found


def test_every_attribute_that_is_read_is_tried_wrongly(
    repository: Path, tmp_path: Path, touched: set[str]
) -> None:
    """All attributes read for a film are in the generator's list, so a new one is tested too."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "51185008", "SCT", "Chest"
    shapes = ["RECTANGULAR", "CIRCULAR", "POLYGONAL"]
    film = chest_film(
        AnatomicRegionSequence=Sequence([code]),
        WindowCenter=1,
        WindowWidth=2,
        ShutterShape=shapes,
        CollimatorShape=shapes,
    )
    path = tmp_path / "film.dcm"
    path.write_bytes(file_bytes(film))
    touched.clear()
    read_everything(path)
    assert len(read_study([path], least_px=128).images) == 1
    by_pydicom = {keyword for keyword in touched if keyword_dict.get(keyword, 0) >> 16 in (0, 2)}
    assert len(touched) > 60
    assert touched - set(keywords(repository)) - by_pydicom == set()
