"""How much memory this process holds."""

from __future__ import annotations

import ctypes


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library."""

    _fields_ = (
        ("before", ctypes.c_size_t * 4),
        ("hblkhd", ctypes.c_size_t),
        ("between", ctypes.c_size_t * 2),
        ("uordblks", ctypes.c_size_t),
        ("after", ctypes.c_size_t * 2),
    )


_mallinfo2 = ctypes.CDLL(None).mallinfo2
_mallinfo2.restype = _MallInfo


def allocated() -> int:
    """Return the bytes of the C library's blocks in use: all larger objects of Python's are among them.

    The resident set contains freed blocks too: once a process has freed a large one and has many threads, as
    after other tests, the library keeps up to 64 MB for each of them.
    """
    info = _mallinfo2()
    found: int = info.uordblks + info.hblkhd
    return found
