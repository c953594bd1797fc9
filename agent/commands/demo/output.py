"""The files that a demo leaves behind: images as PNG, SRs, and the SRs as HTML."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from pydicom import dcmread

from agent.foundation.errors import NotOurFolder, UnreadableImage
from agent.objects.films.choosing.view import view_of
from agent.objects.pixels import load_header, load_image

# Marks a folder as a demo's output, which the next demo may empty.
MARK = ".echo-agent-demo"
HTML_WITHIN_S = 30.0


def prepare(folder: Path) -> Path:
    """Return an empty folder for the output, after removing what an earlier demo left in it.

    Raises:
        NotOurFolder: the folder holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / MARK
    if any(folder.iterdir()):
        if not mark.exists():
            raise NotOurFolder(f"{folder} holds other files; name an empty folder for the output")
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    mark.touch()
    return folder


def write_documents(folder: Path, study: str, documents: Sequence[bytes], *, html: bool) -> tuple[Path, ...]:
    """Write the SRs of a study under `folder/study`, and their HTML if dcmtk is installed."""
    if not documents:
        return ()
    place = folder / study
    place.mkdir(parents=True, exist_ok=True)
    paths = []
    for content in documents:
        path = place / "sr.dcm"
        path.write_bytes(content)
        header = dcmread(path, specific_tags=["SeriesNumber", "SOPClassUID"])
        # A Basic Text SR is the report; every other class contains the findings.
        role = "report" if header.SOPClassUID.name.startswith("Basic Text") else "findings"
        target = _free(place, role, ".dcm")
        path.rename(target)
        paths.append(target)
        if html:
            _write_html(target)
    return tuple(sorted(paths))


def write_image(folder: Path, study: str, source: Path) -> Path | None:
    """Write an image as PNG, as the network sees it; None if the file contains no image."""
    try:
        image = load_image(source, view_of(load_header(source)))
    except UnreadableImage:
        return None
    place = folder / study
    place.mkdir(parents=True, exist_ok=True)
    target = _free(place, image.view, ".png")
    Image.fromarray(image.pixels).save(target)
    return target


def _free(place: Path, stem: str, suffix: str) -> Path:
    target, number = place / f"{stem}{suffix}", 2
    while target.exists():
        target, number = place / f"{stem}-{number}{suffix}", number + 1
    return target


def _write_html(document: Path) -> None:
    program = shutil.which("dsr2html")
    if program is None:
        return
    subprocess.run(
        [program, "+U8", str(document), str(document.with_suffix(".html"))],
        check=False,
        capture_output=True,
        timeout=HTML_WITHIN_S,
    )
