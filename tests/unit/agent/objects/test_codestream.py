"""What compressed frames state about their size."""

from __future__ import annotations

import pytest

from agent.objects.codestream import CodestreamSize, codestream_size

SOF = b"\xff\xc1\x00\x0b\x0c\x08\x5c\x06\xe0\x01\x01\x11\x00"
APP = b"\xff\xe0\x00\x04ab"
SIZ = (
    b"\xff\x4f\xff\x51\x00\x29\x00\x00"
    + b"".join(number.to_bytes(4, "big") for number in (1841, 1955, 0, 0, 1841, 1955, 0, 0))
    + b"\x00\x01\x0e\x01\x01"
)


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        (b"\xff\xd8" + SOF, CodestreamSize(rows=2140, columns=1760, samples=1)),
        (b"\xff\xd8" + APP + b"\xff" + SOF, CodestreamSize(rows=2140, columns=1760, samples=1)),
        (b"\xff\xd8\xff\xf7" + SOF[2:], CodestreamSize(rows=2140, columns=1760, samples=1)),
        (SIZ, CodestreamSize(rows=1955, columns=1841, samples=1)),
        (b"jP2 box" + SIZ, CodestreamSize(rows=1955, columns=1841, samples=1)),
        (b"\xff\xd8" + SOF[:6], None),
        (b"\xff\xd8" + APP, None),
        (b"\xff\xd8garbage", None),
        (SIZ[:20], None),
        (b"", None),
    ],
)
def test_size_is_read_from_the_frame_header(frame: bytes, size: CodestreamSize | None) -> None:
    """The size is read from SOF or SIZ, whatever application segments or boxes precede it."""
    assert codestream_size(frame) == size
