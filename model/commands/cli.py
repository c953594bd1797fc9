"""`echo-model`: train, evaluate and inspect drafting models. Torch is imported only inside commands."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.commands.findings import Extension, evaluate_findings_command, findings_command, normalise_command
from model.commands.prepare import data_app, init_command, recipe_command
from model.commands.word_order import word_order_command
from model.errors import ModelError
from model.evaluate.engines.engine import OfflineEngine, Workers

if TYPE_CHECKING:
    from model.train.config import TrainingConfig
    from model.train.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True, add_completion=True, help="Train, evaluate and inspect drafting models."
)

_Config = Annotated[Path, typer.Option("--config", help="The recipe, a YAML file.", show_default=False)]
# The recipe of the first round, and the branches that continue from it.
DEMO_RECIPE, DEMO_BRANCHES = "demo", "demo-branches"
_SHIPPED = Path(str(resources.files("model") / "demo_checkpoint"))
_Json = Annotated[bool, typer.Option("--json", help="The last line is one JSON object.")]
_Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 leaves the choice to torch.")]
app.command("findings")(findings_command)
app.command("evaluate-findings")(evaluate_findings_command)
app.command("normalise")(normalise_command)
app.command("word-order")(word_order_command)
app.command("init")(init_command)
app.command("recipe")(recipe_command)
app.add_typer(data_app, name="data")


def main() -> None:
    """Entry point: an expected error is one message, never a traceback."""
    # As in `echo-agent`: the default threshold takes a fifth of the start, which is nearly all imports.
    gc.set_threshold(100_000, 20, 100)
    try:
        app()
    except ModelError as error:
        typer.secho(f"{error.code}: {error}", fg="red", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise  # not about a file named by the user
        typer.secho(f"file: {error.filename}: {error.strerror}", fg="red", err=True)
        sys.exit(1)


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="labels, ar, rad, rollout, dcd, t3d or all.")],
    config: _Config,
    threads: _Threads = 0,
    plan: Annotated[bool, typer.Option("--plan", help="Print memory and time; train nothing.")] = False,
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="Plan for h100, h200 or a100 instead of this machine.")
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Number of processes to plan for.")
    ] = 1,
) -> None:
    """Runs one stage of a recipe, or all; an interrupted one is continued, a finished one left alone."""
    from model.train.loop import leave_processes

    if plan:
        from model.commands.plan import plan_lines

        for line in plan_lines(config, stage, gpu, processes):
            typer.echo(line)
        return
    recipe = _recipe(config, threads)
    if stage == "all":
        recipe.run_all()
        leave_processes()
        return
    finished = recipe.done(stage)
    folder = recipe.run(stage)
    if recipe.processes.first:
        note = "; it was finished before, and nothing was done: remove the folder to train it again"
        typer.echo(f"{stage}: {folder}{note if finished else ''}")
    leave_processes()


@app.command()
def rollout(config: _Config, threads: _Threads = 0) -> None:
    """Collects the teacher's trajectories that DCD and T3D learn from."""
    train("rollout", config, threads)


@app.command("demo-model")
def demo_model(
    config: Annotated[
        Path | None, typer.Option("--config", help="Another recipe than the shipped one.")
    ] = None,
    branches: Annotated[
        Path | None, typer.Option("--branches", help="Other variants that continue from it and are averaged.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", help="Where the finished checkpoint goes.")] = Path(
        "model/demo_checkpoint"
    ),
    threads: _Threads = 0,
) -> None:
    """Makes the demonstration checkpoint from scratch: every stage on procedural phantoms, resumable."""
    from model.train.publish import publish_demo
    from model.train.variants import load_variants

    variants = load_variants(branches or packaged_recipe(DEMO_BRANCHES))
    recipes = [_recipe(config or packaged_recipe(DEMO_RECIPE), threads)]
    recipes += [_run_of(variant, threads) for variant in variants.values()]
    commits: dict[str, None] = {}
    for recipe in recipes:
        noted = recipe.note_commit(_commit())
        recipe.run_all()
        commits |= dict.fromkeys(noted)
    publish_demo(recipes, output, branches=len(variants), commit=", ".join(commits))
    typer.echo(f"demonstration checkpoint: {output}")


@app.command("table-models")
def table_models(
    config: Annotated[
        Path, typer.Option("--config", help="The variants: a file, or the packaged `table` or `seeds`.")
    ] = Path("table"),
    only: Annotated[list[str] | None, typer.Option("--only", help="Only these variants.")] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="Train each variant once for each seed.")
    ] = None,
    threads: _Threads = 0,
) -> None:
    """Trains the table's further networks from the runs of demo-model: every variant, resumable."""
    from model.train.config import TrainingConfigError
    from model.train.variants import load_variants

    file = packaged_recipe(str(config)) if str(config) in ("table", "seeds") else config
    variants = load_variants(file, seed or ())
    names = {name.partition("/")[0] for name in variants}
    unknown = sorted(set(only or ()) - names)
    if unknown:
        raise TrainingConfigError(f"there is no variant {unknown[0]!r}; there are {sorted(names)}")
    for name, variant in variants.items():
        if not only or name.partition("/")[0] in only:
            typer.echo(f"variant {name}")
            _run_of(variant, threads).run_all()


@app.command()
def inspect(directory: Annotated[Path, typer.Argument(help="A checkpoint's directory.")]) -> None:
    """Says what a checkpoint is and what is wrong with it; exit status 1 if it does not load."""
    from model.network.checkpoint import inspect_checkpoint

    found = inspect_checkpoint(directory)
    typer.echo(found)
    if not found.loads:
        raise typer.Exit(1)


@app.command("evaluate")
def evaluate_command(
    directory: Annotated[Path, typer.Argument(help="A checkpoint's directory.")],
    data: Annotated[Path, typer.Option("--data", help="Test studies, JSON lines.")],
    studies: Annotated[
        int | None, typer.Option("--studies", min=1, help="Only this many, from the first.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Studies decoded together.")] = 8,
    output: Annotated[Path | None, typer.Option("--output", help="File for the drafts, JSON lines.")] = None,
    ratescore: Annotated[Path | None, typer.Option("--ratescore", help="RaTEScore's weights.")] = None,
    radgraph: Annotated[Path | None, typer.Option("--radgraph", help="RadGraph's weights.")] = None,
    chexbert: Annotated[Path | None, typer.Option("--chexbert", help="CheXbert's weights.")] = None,
    engine: Annotated[
        OfflineEngine, typer.Option("--engine", help="This process, or a Ray cluster.")
    ] = OfflineEngine.PLAIN,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Ray workers.")] = 2,
    address: Annotated[
        str, typer.Option("--address", help="HOST:PORT of a running Ray cluster, instead of a local one.")
    ] = "",
    gpus: Annotated[
        float | None,
        typer.Option("--gpus", min=0, help="GPUs of each Ray worker; 1 if there is one, else 0."),
    ] = None,
    vocabulary: Extension = None,
    as_json: _Json = False,
    threads: _Threads = 0,
) -> None:
    """Drafts the studies of a data file and scores the drafts against their reports."""
    from model.commands.evaluate_data import evaluate_lines
    from model.findings.vocabulary import put_in_force

    put_in_force(vocabulary)
    extras = {"RaTEScore": ratescore, "RadGraph-F1": radgraph, "CheXbert-F1": chexbert}
    for line in evaluate_lines(
        directory,
        data,
        studies,
        batch,
        output=output,
        extras=extras,
        as_json=as_json,
        threads=threads,
        workers=Workers(engine=engine, count=workers, address=address, gpus=gpus),
    ):
        typer.echo(line)


@app.command()
def flops(
    directory: Annotated[Path, typer.Option("--checkpoint", help="Whose shape is counted.")] = _SHIPPED,
    prompt: Annotated[int, typer.Option(min=1, help="Prompt tokens.")] = 97,
    answer: Annotated[int, typer.Option(min=1, help="Answer tokens, a multiple of the block size.")] = 72,
    as_json: _Json = False,
) -> None:
    """Counts what RAD saves compared with full duplication, for a checkpoint's shape and the paper's."""
    from model.evaluate.flops import count_shapes, table_of
    from model.network.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(directory)
    counts = count_shapes(checkpoint.backbone, prompt, answer, checkpoint.config.block_size)
    typer.echo(json.dumps(counts) if as_json else table_of(counts))


@app.command()
def table(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="The shipped checkpoint.")] = _SHIPPED,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="A recipe's runs, instead of baselines.")
    ] = None,
    studies: Annotated[int, typer.Option("--studies", min=1, help="Held-out phantoms.")] = 500,
    quick: Annotated[bool, typer.Option("--quick", help="96 studies.")] = False,
    first_seed: Annotated[
        int, typer.Option("--first-seed", min=700_000, max=708_000, help="Seed of the first phantom.")
    ] = 700_000,
    seeds: Annotated[
        Path | None, typer.Option("--seeds", help="Runs of one recipe, seed-1, seed-2 …: mean and spread.")
    ] = None,
    vocabulary: Extension = None,
    as_json: _Json = False,
    threads: _Threads = 0,
) -> None:
    """Measures every stage and decoder on the same held-out phantoms: quality, forward passes, speed."""
    from model.commands.evaluate import measure_seeds, measure_table
    from model.findings.vocabulary import put_in_force

    put_in_force(vocabulary)
    count = 96 if quick else studies
    lines = (
        measure_table(checkpoint, runs, count, threads, first_seed=first_seed, as_json=as_json)
        if seeds is None
        else measure_seeds(
            seeds, count, threads, first_seed=first_seed, as_json=as_json, vocabulary=vocabulary
        )
    )
    for line in lines:
        typer.echo(line)


@app.command()
def baseline(
    other: Annotated[Path, typer.Argument(help="A checkpoint of the same recipe.")],
    name: Annotated[str, typer.Argument(help="Its name in the table: ar, base, t3d, echo-blk4 …")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="The shipped checkpoint.")] = _SHIPPED,
    note: Annotated[
        str, typer.Option("--note", help="How its training differs; printed below the table.")
    ] = "",
) -> None:
    """Stores a checkpoint with the shipped one, as a small file of differences."""
    from model.evaluate.subjects import store_baseline

    typer.echo(str(store_baseline(checkpoint, other, name, note)))


@app.command()
def unpack(
    name: Annotated[str, typer.Argument(help="The baseline's name: ar, base or t3d.")],
    folder: Annotated[Path, typer.Argument(help="Folder for the checkpoint.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="The shipped checkpoint.")] = _SHIPPED,
) -> None:
    """Writes a baseline that ships with a checkpoint as a separate checkpoint, to continue training from."""
    from model.evaluate.subjects import unpack_baseline

    typer.echo(str(unpack_baseline(checkpoint, name, folder)))


@app.command()
def drafts(
    output: Annotated[Path, typer.Option("--output", help="The PNG.")] = Path("docs/drafts.png"),
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="The shipped checkpoint.")] = _SHIPPED,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="A recipe's runs, instead of baselines.")
    ] = None,
) -> None:
    """Draws a page of drafts: image, truth, AR, naive one-step and ECHO side by side."""
    from model.commands.evaluate import draw_drafts

    typer.echo(str(draw_drafts(checkpoint, runs, output)))


def _commit() -> str:
    """The commit of the running code, if it is a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def packaged_recipe(name: str) -> Path:
    """A recipe of the package."""
    return Path(str(resources.files("model.train") / "configs" / f"{name}.yaml"))


def _recipe(config: Path, threads: int) -> Recipe:
    from model.train.config import load_training_config

    return _run_of(load_training_config(config), threads)


def _run_of(config: TrainingConfig, threads: int) -> Recipe:
    import time

    from model.train.progress import Progress
    from model.train.recipe import Recipe

    if threads:
        import torch

        torch.set_num_threads(threads)
    return Recipe(config, clock=time.monotonic, report=Progress(sys.stderr))
