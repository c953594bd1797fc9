"""The command `word-order` of `echo-model`: what the garble check learns from a network's training text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model.commands.findings import Extension, text_lines


def word_order_command(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON lines {text} of the training text; - reads standard input.", show_default=False
        ),
    ],
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", help="The checkpoint's folder, in which it is stored.")
    ],
    vocabulary: Extension = None,
) -> None:
    """Learns the word order of a training text and stores it with a checkpoint's weights."""
    from model.findings.canonical import split_sentences
    from model.findings.vocabulary import put_in_force
    from model.network.word_order import learn_word_order

    put_in_force(vocabulary)
    order = learn_word_order(sentence for text in text_lines(file) for sentence in split_sentences(text))
    written = order.save(checkpoint)
    typer.echo(f"{len(order.counts)} words, {len(order.pairs)} pairs: {written}")
