"""The phantoms that the table is measured on: seeds that no recipe trains or validates on."""

from __future__ import annotations

from model.phantom import training_example
from model.phantom.studies import Example

FIRST_SEED = 700_000


def held_out_examples(count: int, image_size: int, first_seed: int = FIRST_SEED) -> list[Example]:
    """`count` of them from `first_seed` on, rendered at `image_size` pixels."""
    examples = []
    for seed in range(first_seed, first_seed + count):
        phantom = training_example(seed, size=image_size)
        examples.append(
            Example(
                id=f"phantom-{seed}",
                images=tuple(phantom.images),
                views=phantom.views,
                answer=phantom.normalised,
                truth=phantom.truth,
                dictated=phantom.dictated,
            )
        )
    return examples
