"""Attachments of a DiagnosticReport as text: HTML as a reader sees it, and bytes in any character set."""

from __future__ import annotations

import pytest

from agent.ris.signed.markup import text_of, words_of

GERMAN = "Herz vergrößert, kein Pneumothorax."


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("<p>No effusion.</p><p>Heart<br>normal.</p>", "No effusion.\nHeart\nnormal."),
        (
            "Effusion &gt; 2&nbsp;cm &amp; fracture, Gr&ouml;&szlig;e &#8804; 3",
            "Effusion > 2 cm & fracture, Größe ≤ 3",
        ),
        # Invisible, and never to be read as findings.
        ("<!-- Large pneumothorax <b>x</b> -->Clear.", "Clear."),
        ("<html><head><title>Mass</title><style>p{}</style></head><body>Clear.</body></html>", "Clear."),
        ("<script>mass()</script>Clear.<style>.mass{}</style>", "Clear."),
        ("<head><title>Mass</title><body>Clear.", "Clear."),
        # Not markup, although it looks like markup.
        ("Nodule < 5 mm and mass > 3 cm.", "Nodule < 5 mm and mass > 3 cm."),
        (
            "<table><tr><td>Effusion</td><td>none</td></tr><tr><td>Heart</td></tr></table>",
            "Effusion none\nHeart",
        ),
        ("<p>No\n  evidence of <b>pneumo</b>thorax.</p>", "No evidence of pneumothorax."),
        ("No effusion.<P CLASS='x'>Heart normal.<DIV/>Bones", "No effusion.\nHeart normal.\nBones"),
        ("Clear.<", "Clear.<"),
        ("", ""),
    ],
)
def test_markup_is_read_as_it_is_seen(markup: str, words: str) -> None:
    """A line for each block; entities, cells, comments, scripts, and characters that are not tags."""
    assert words_of(markup) == words


@pytest.mark.parametrize(
    ("codec", "stated"),
    [
        ("utf-8", "text/plain"),
        ("utf-8", "text/plain; charset=UTF-8"),
        ("utf-8-sig", "text/plain"),
        ("latin-1", "text/plain; charset=ISO-8859-1"),
        ("latin-1", "text/plain"),
        ("latin-1", "text/plain; charset=utf-8"),
        ("utf-16", "text/plain"),
        ("utf-16-le", 'text/plain; charset="utf-16le"'),
        ("cp1252", "text/plain; charset=none-such"),
    ],
)
def test_text_is_read_in_the_stated_set_or_the_one_that_fits(codec: str, stated: str) -> None:
    """A lost character may be a lost finding."""
    assert text_of(GERMAN.encode(codec), stated) == GERMAN
