"""M-RoPE positions calculated by hand; the comparison with transformers' own is in test_backbone."""

from __future__ import annotations

import torch

from model.network.positions import mrope_positions, next_positions, text_positions

IMAGE = 9


def test_mrope_positions_count_rows_and_columns_inside_an_image() -> None:
    """Text, a 2 x 3 image (in tokens), text: the text after the image continues at start + 3."""
    ids = torch.tensor([[1, IMAGE, IMAGE, IMAGE, IMAGE, IMAGE, IMAGE, 2, 3]])
    positions = mrope_positions(
        ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([[1, 4, 6]]), IMAGE, 2
    )
    assert positions[0, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 4, 5]
    assert positions[1, 0].tolist() == [0, 1, 1, 1, 2, 2, 2, 4, 5]
    assert positions[2, 0].tolist() == [0, 1, 2, 3, 1, 2, 3, 4, 5]


def test_mrope_positions_ignore_padding() -> None:
    """A padded row has the positions of the unpadded row, wherever the padding is."""
    ids = torch.tensor([[1, 2, 3, 0], [0, 1, 2, 3], [1, 2, 3, 4]])
    valid = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1], [1, 1, 1, 1]], dtype=torch.bool)
    positions = mrope_positions(ids, valid, torch.empty(0, 3, dtype=torch.long), IMAGE, 2)
    assert positions[1, 0, :3].tolist() == [0, 1, 2]
    assert positions[1, 1, 1:].tolist() == [0, 1, 2]
    assert next_positions(positions, valid).tolist() == [3, 3, 4]


def test_next_position_passes_a_wide_image() -> None:
    """The next position follows the largest of the three, which may be a column's."""
    ids = torch.full((1, 4), IMAGE)
    valid = torch.ones(1, 4, dtype=torch.bool)
    positions = mrope_positions(ids, valid, torch.tensor([[1, 2, 8]]), IMAGE, 2)
    assert next_positions(positions, valid).tolist() == [4]


def test_text_positions_advance_all_three_together() -> None:
    """Positions of generated text start at the slot's own start."""
    positions = text_positions(torch.tensor([4, 10]), 3)
    assert positions.tolist() == [[[4, 5, 6], [10, 11, 12]]] * 3
