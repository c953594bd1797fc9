"""A page of drafts: image, truth, and what AR, naive one-step and ECHO write about it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from model.decode import DecodeOptions
from model.evaluate.subjects import Subjects
from model.evaluate.tables import ROWS
from model.network.prompt import build_prompt, collate_prompts
from model.phantom.studies import Example

_SHOWN = ("AR", "Naive one-step blk8", "ECHO blk8")
_STUDIES = 6
_WIDTH = 46  # characters per line


def draw_sheet(subjects: Subjects, examples: Sequence[Example], target: Path) -> None:
    """Draws the studies with the most findings; the column of a network that has not been built is left
    out.
    """
    chosen = sorted(examples, key=lambda e: -len(e.answer))[:_STUDIES]
    columns = {"truth": [example.answer for example in chosen]}
    shipped = subjects.shipped
    for row in (row for row in ROWS if row.name in _SHOWN):
        subject = subjects.get(row.subject, row.stage, row.block_size)
        if subject is None:
            continue
        prompts = collate_prompts(
            [build_prompt(shipped.tokenizer, shipped.config, e.images) for e in chosen],
            shipped.config,
            shipped.tokenizer.pad_id,
        )
        options = DecodeOptions.of(subject.config, steps=row.steps, threshold=row.threshold)
        decoded = row.decode(subject.backbone, prompts, options)
        columns[row.name] = [shipped.tokenizer.decode(report.tokens).strip() for report in decoded]
    figure, axes = pyplot.subplots(
        _STUDIES, 1 + len(columns), figsize=(3.2 * (1 + len(columns)), 3.0 * _STUDIES), layout="constrained"
    )
    for row_number, example in enumerate(chosen):
        axes[row_number, 0].imshow(example.images[0], cmap="gray", vmin=0, vmax=255)
        axes[row_number, 0].set_axis_off()
        for column, (name, texts) in enumerate(columns.items(), start=1):
            axis = axes[row_number, column]
            axis.set_axis_off()
            if row_number == 0:
                axis.set_title(name, fontsize=10, loc="left")
            right = texts[row_number] == columns["truth"][row_number]
            axis.text(
                0.0,
                1.0,
                textwrap.fill(texts[row_number], _WIDTH),
                fontsize=6.5,
                va="top",
                color="black" if right else "firebrick",
                transform=axis.transAxes,
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=100)
    pyplot.close(figure)
