"""The output of `benchmarks/decode.py`: ratios, a table, a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.decode_extra import Flatness, Repeats
from benchmarks.decode_roofline import Machine
from benchmarks.decode_run import GENERATE, NAMES, Row
from model.decode.steps import Method

AR, UNFUSED = NAMES[Method.AUTOREGRESSIVE], NAMES[Method.UNFUSED]
FUSED, FROM_PREFILL = NAMES[Method.FUSED_APART], NAMES[Method.FUSED]


def ratios_of(rows: Sequence[Row]) -> dict[str, float]:
    """Speed-ups: of decoding alone, except `report`, which is from pixels to tokens.

    For the smallest batch, and the gain of a batch of eight (or the largest) over it.
    """
    found = {(row.decoder, row.batch): row for row in rows}
    batches = sorted({row.batch for row in rows})
    least, more = batches[0], 8 if 8 in batches else batches[-1]
    ar, unfused, generate = (found[name, least] for name in (AR, UNFUSED, GENERATE))
    fused, best = found[FUSED, least], found[FROM_PREFILL, least]
    many = found[FROM_PREFILL, more]
    return {
        "fused_vs_unfused": unfused.decode_ms / fused.decode_ms,
        "fused_vs_strong_ar": ar.decode_ms / fused.decode_ms,
        "fused_vs_generate": generate.decode_ms / fused.decode_ms,
        "step_vs_roofline": fused.roofline,
        "report_vs_strong_ar": ar.report_ms / best.report_ms,
        "report_vs_unfused": unfused.report_ms / best.report_ms,
        "from_prefill_vs_unfused": unfused.decode_ms / best.decode_ms,
        "from_prefill_vs_strong_ar": ar.decode_ms / best.decode_ms,
        f"batch_{more}_vs_{least}_reports_per_second": many.reports_per_second / best.reports_per_second,
        f"batch_{more}_vs_{least}_decode": best.decode_ms / many.decode_ms,
        "best_reports_per_second": max(row.reports_per_second for row in rows),
    }


def show(
    console: Console,
    rows: Sequence[Row],
    ratios: dict[str, float],
    flat: Flatness,
    repeats: Repeats | None,
    machine: Machine,
) -> None:
    """Prints the rows as a table, and the rest in lines below it."""
    table = Table(title="one report; ms, medians")
    names = (
        *("batch", "decoder", "forwards", "ms/forward", "floor", "of roofline", "tokens/s"),
        *("pixels", "vision", "prefill", "decode", "report", "reports/s", "MiB"),
    )
    for name in names:
        table.add_column(name, justify="left" if name == "decoder" else "right")
    batch = 0
    for row in rows:
        if row.batch != batch and batch:
            table.add_section()
        batch = row.batch
        table.add_row(
            *(str(row.batch), row.decoder, str(row.forwards_per_report)),
            *(f"{row.ms_per_forward:.2f}", f"{row.floor_ms:.2f}", f"{row.roofline:.0%}"),
            *(f"{value:.1f}" for value in (row.tokens_per_second, row.pixels_ms, row.vision_ms)),
            *(f"{value:.1f}" for value in (row.prefill_ms, row.decode_ms, row.report_ms)),
            *(f"{row.reports_per_second:.2f}", f"{row.memory_mb:.0f}"),
        )
    console.print(table)
    rates = ", ".join(f"{rate / 1e9:.0f} at {n}" for n, rate in sorted(machine.rates.items()))
    console.print(f"bandwidth {machine.bandwidth / 1e9:.1f} GB/s; GFLOP/s by rows: {rates}")
    console.print(
        f"block {flat.late_block} takes {flat.late_ms:.2f} ms, block {flat.early_block} "
        f"{flat.early_ms:.2f} ms: ratio {flat.ratio:.3f}"
    )
    if repeats is not None:
        console.print(repeats.words)
    for name, value in ratios.items():
        console.print(f"{name}: {value:.2f}")


def plot(rows: Sequence[Row], path: Path) -> None:
    """Time of one report by decoder at the smallest batch, and reports per second by batch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    batches = sorted({row.batch for row in rows})
    alone = [row for row in rows if row.batch == batches[0]]
    edge = [0.0] * len(alone)
    for stage in ("pixels_ms", "vision_ms", "prefill_ms", "decode_ms"):
        widths = [float(getattr(row, stage)) for row in alone]
        left.barh([row.decoder for row in alone], widths, left=edge, label=stage.removesuffix("_ms"))
        edge = [start + width for start, width in zip(edge, widths, strict=True)]
    left.invert_yaxis()
    left.set_xlabel(f"ms per report, batch {batches[0]}")
    left.legend()
    for name in dict.fromkeys(row.decoder for row in rows):
        line = [row for row in rows if row.decoder == name]
        right.plot([row.batch for row in line], [row.reports_per_second for row in line], "o-", label=name)
    right.set_xscale("log", base=2)
    right.set_xticks(batches, [str(batch) for batch in batches])
    right.set_xlabel("reports in decoding at once")
    right.set_ylabel("reports/s, from pixels to tokens")
    right.set_ylim(bottom=0)
    right.legend(fontsize=8)
    figure.savefig(path, dpi=150)
