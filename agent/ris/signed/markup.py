"""The words of an HTML text, and the text of bytes whose character set may not be the stated one. Pure."""

from __future__ import annotations

import codecs
from email.message import Message
from html.parser import HTMLParser

# Elements whose content nobody reads on the page.
_UNSEEN = frozenset({"head", "script", "style", "template", "title"})
_BLOCKS = frozenset(
    {"br", "p", "div", "li", "ul", "ol", "dl", "dt", "dd", "tr", "table", "section", "article", "hr", "pre",
     "h1", "h2", "h3", "h4", "h5", "h6", "blockquote"}
)  # fmt: skip
_CELLS = frozenset({"td", "th"})
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def words_of(markup: str) -> str:
    """Return the text that a reader sees, a line for each block; without comments, scripts and titles."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    lines = "".join(reader.parts).split("\n")
    return "\n".join(line for one in lines if (line := " ".join(one.split())))


def text_of(content: bytes, content_type: str) -> str:
    """Return the text of an attachment: by its mark, its stated character set, UTF-8, or Windows-1252."""
    marked = next((codec for mark, codec in _MARKS if content.startswith(mark)), None)
    header = Message()
    header["Content-Type"] = content_type
    stated = header.get_content_charset()
    for codec in (marked, stated, "utf-8", "cp1252"):
        if codec is None:
            continue
        try:
            return content.decode(codec)
        except (UnicodeError, LookupError):
            continue
    return content.decode("latin-1")


class _Reader(HTMLParser):
    """Collects what is seen; `<` that opens no element is text, as in "nodule < 5 mm"."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag in _UNSEEN:
            self._unseen.append(tag)
        self._space(tag)

    def handle_startendtag(self, tag: str, _attributes: object) -> None:
        self._space(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        self._space(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(" ".join(data.split("\n")))

    def _space(self, tag: str) -> None:
        if tag == "body":
            self._unseen.clear()  # a head that was never closed
        if tag in _BLOCKS:
            self.parts.append("\n")
        elif tag in _CELLS:
            self.parts.append(" ")
