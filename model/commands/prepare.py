"""The commands that prepare training: `init`, `data`, `recipe`."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.errors import ModelError

if TYPE_CHECKING:
    from model.train.line_check import LineReader

data_app = typer.Typer(no_args_is_help=True, help="Makes and checks data files for training.")


class RecipeError(ModelError):
    """A recipe cannot be written; the message says why."""

    code = "recipe"
    retryable = False


def init_command(
    base: Annotated[Path, typer.Argument(help="The base's directory, in the Hugging Face layout.")],
    licence: Annotated[
        str, typer.Option("--licence", help="The licence under which you may use the weights.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the model; the directory's name by default.")
    ] = None,
    block_size: Annotated[int, typer.Option("--block-size", help="Tokens per block.")] = 8,
    stage: Annotated[str | None, typer.Option("--stage", help="ar, base, echo or t3d.")] = None,
    anchor: Annotated[str | None, typer.Option("--anchor", help="response or sequence.")] = None,
    sizes: Annotated[str | None, typer.Option("--sizes", help="square or aspect.")] = None,
    image_size: Annotated[int, typer.Option("--image-size", help="Side of the square (px).")] = 896,
    max_pixels: Annotated[
        int | None, typer.Option("--max-pixels", help="Most pixels of an image that keeps its shape.")
    ] = None,
    language: Annotated[str, typer.Option("--language", help="Language of the instruction.")] = "en",
    instruction: Annotated[str | None, typer.Option("--instruction", help="Its text.")] = None,
    plain: Annotated[bool, typer.Option("--no-chat-template", help="No turns around the prompt.")] = False,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Tokens of the longest report.")] = 256,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace echo_config.json.")] = False,
) -> None:
    """Prepares a published base: writes echo_config.json, adds the mask token, and reports the choices."""
    from model.network.config import BlockAnchor, SizePolicy, Stage
    from model.network.initialise import Choices, InitError, initialise

    try:
        choices = Choices(
            licence=licence,
            name=name,
            block_size=block_size,
            stage=Stage(stage) if stage else None,
            block_anchor=BlockAnchor(anchor) if anchor else None,
            size_policy=SizePolicy(sizes) if sizes else None,
            image_size=image_size,
            max_pixels=max_pixels,
            language=language,
            instruction=instruction,
            chat_template=not plain,
            max_tokens=max_tokens,
        )
    except ValueError as error:
        raise InitError(str(error)) from error
    for line in initialise(base, choices, overwrite=overwrite):
        typer.echo(line)


def recipe_command(
    kind: Annotated[str, typer.Argument(help="lora (one GPU) or full (several).")],
    start: Annotated[Path, typer.Option("--start", help="The base.")],
    data: Annotated[Path, typer.Option("--data", help="Training studies, JSON lines.")],
    validation: Annotated[Path, typer.Option("--validation", help="Held-out studies, JSON lines.")],
    output: Annotated[Path, typer.Option("--output", help="The recipe.")] = Path("recipe.yaml"),
) -> None:
    """Writes a recipe from a packaged one, with your base and data; edit steps and batches in it."""
    source = resources.files("model.train") / "configs" / f"base-{kind}.yaml"
    if not source.is_file():
        raise RecipeError(f"there is no recipe {kind!r}; there are lora and full")
    if output.exists():
        raise RecipeError(f"{output} exists already; remove it or name another --output")
    text = source.read_text(encoding="utf-8")
    for place, path in (("{start}", start), ("{data}", data), ("{validation}", validation)):
        text = text.replace(
            place, json.dumps(str(path), ensure_ascii=False)
        )  # a path may contain any YAML character
    output.write_text(text, encoding="utf-8")
    typer.echo(f"recipe: {output}")


def _source(name: str) -> None:
    def command(
        folder: Annotated[Path, typer.Argument(help="The data set's own folder.")],
        output: Annotated[Path, typer.Option("--output", help="The data file.")],
        split: Annotated[
            list[str] | None, typer.Option("--split", help="Only this split; repeatable.")
        ] = None,
        priors: Annotated[int, typer.Option("--priors", min=0, help="Most earlier studies per line.")] = 0,
    ) -> None:
        from model.train.sources.published import READERS
        from model.train.sources.study import write_lines

        written = write_lines(READERS[name](folder), output, priors=priors, splits=split or ())
        typer.echo(f"{output}: {written.studies} studies")
        for reason, count in sorted(written.left_out.items()):
            typer.echo(f"  left out: {count} ({reason})")
        if not written.studies:
            raise typer.Exit(1)

    command.__doc__ = f"Reads {name} in its published layout."
    data_app.command(name)(command)


for _name in ("mimic-cxr", "open-i", "chexpert-plus", "padchest"):
    _source(_name)


@data_app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(help="A data file.")],
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Count the answers that do not fit this checkpoint.")
    ] = None,
    images: Annotated[bool, typer.Option("--images", help="Open every image (slow).")] = False,
) -> None:
    """Lists every bad line with its number and the reason; exit status 1 if there is one."""
    from model.train.line_check import LineReader, check_file, listed
    from model.train.line_index import index_lines

    reader = LineReader(file, index_lines(file))
    verdict = check_file(reader, open_images=images)
    good = verdict.lines - len(verdict.bad)
    typer.echo(f"{file}: {good} studies, {len(verdict.bad)} bad lines")
    if checkpoint is not None:
        cut, longest, most = _too_long(reader, checkpoint)
        typer.echo(f"answers: {cut} of {good} do not fit {most} tokens (the longest has {longest})")
    if verdict.bad:
        typer.echo(listed(verdict.bad))
        raise typer.Exit(1)
    if not verdict.lines:
        typer.echo("the file has no line")
        raise typer.Exit(1)


def _too_long(reader: LineReader, checkpoint: Path) -> tuple[int, int, int]:
    """Number of answers that do not fit, tokens of the longest, tokens that fit; including end-of-text."""
    from model.errors import CheckpointError
    from model.network.inspection import inspect_checkpoint
    from model.train.study_line import answer_of

    found = inspect_checkpoint(checkpoint)
    if found.config is None or found.tokenizer is None:
        raise CheckpointError(str(checkpoint), found.problems)
    most = found.config.max_tokens
    studies = (reader.study(place) for place in range(len(reader.index)))
    lengths = [
        1 + len(found.tokenizer.encode(answer_of(record))) for problem, record in studies if not problem
    ]
    return sum(length > most for length in lengths), max(lengths, default=0), most
