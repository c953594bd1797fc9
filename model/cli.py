"""`echo-model`: training, evaluation and inspection of the drafting models. Imports torch only inside commands."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.errors import ModelError

if TYPE_CHECKING:
    from model.train.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True, add_completion=True, help="Train, evaluate and inspect drafting models."
)

_Config = Annotated[Path, typer.Option("--config", help="The recipe, a YAML file.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="The last line is one JSON object.")]
_Threads = Annotated[int, typer.Option("--threads", help="Threads of the CPU; 0 leaves torch's choice.")]


def main() -> None:
    """Entry point: an expected error is one message, never a traceback."""
    try:
        app()
    except ModelError as error:
        typer.secho(f"{error.code}: {error}", fg="red", err=True)
        sys.exit(1)


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="labels, ar, rad, rollout, dcd or t3d.")],
    config: _Config,
    threads: _Threads = 0,
) -> None:
    """Runs one stage of a recipe, or goes on where it was interrupted."""
    recipe = _recipe(config, threads)
    folder = recipe.run(stage)
    typer.echo(f"{stage}: {folder}")


@app.command()
def rollout(config: _Config, threads: _Threads = 0) -> None:
    """Collects the teacher's trajectories that DCD and T3D learn from."""
    train("rollout", config, threads)


@app.command("demo-model")
def demo_model(
    config: Annotated[
        Path | None, typer.Option("--config", help="Another recipe than the shipped one.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", help="Where the finished checkpoint goes.")] = Path(
        "model/demo_checkpoint"
    ),
    threads: _Threads = 0,
) -> None:
    """Makes the demonstration checkpoint from nothing: every stage on procedural phantoms, resumable."""
    from model.train.publish import publish_demo

    recipe = _recipe(config or packaged_recipe("demo"), threads)
    recipe.run_all()
    publish_demo(recipe, output)
    typer.echo(f"demonstration checkpoint: {output}")


@app.command()
def inspect(directory: Annotated[Path, typer.Argument(help="A checkpoint's directory.")]) -> None:
    """Says what a checkpoint is, whether it loads, and what is wrong with it."""
    from model.checkpoint import inspect_checkpoint

    typer.echo(inspect_checkpoint(directory))


@app.command()
def flops(as_json: _Json = False) -> None:
    """Counts what RAD spares against full duplication, at the demonstration's shape and at the paper's."""
    from model.evaluate.flops import count_shapes, table_of

    counts = count_shapes()
    typer.echo(json.dumps(counts) if as_json else table_of(counts))


def packaged_recipe(name: str) -> Path:
    """A recipe of the package."""
    return Path(str(resources.files("model.train") / "configs" / f"{name}.yaml"))


def _recipe(config: Path, threads: int) -> Recipe:
    import time

    from model.train.config import load_training_config
    from model.train.progress import Progress
    from model.train.recipe import Recipe

    if threads:
        import torch

        torch.set_num_threads(threads)
    return Recipe(load_training_config(config), clock=time.monotonic, report=Progress(sys.stderr))
