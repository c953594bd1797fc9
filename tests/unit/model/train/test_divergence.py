"""Divergences from a teacher whose distribution is stored sparsely."""

from __future__ import annotations

import pytest
import torch

from model.train.divergence import sparse_divergence


def _top(probabilities: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    kept, ids = probabilities.topk(k, dim=-1)
    return ids, kept


@pytest.mark.parametrize("kind", ["forward", "reverse"])
def test_divergence_vanishes_where_student_and_teacher_agree(kind: str) -> None:
    """Equal distributions have a divergence of zero, in both directions."""
    logits = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    ids, kept = _top(logits.softmax(dim=-1), 4)

    divergence = sparse_divergence(logits, ids, kept, "forward" if kind == "forward" else "reverse")

    assert torch.allclose(torch.zeros(5), divergence, atol=1e-5)


def test_divergence_with_all_tokens_kept_is_the_full_one() -> None:
    """With K = V - 1 nothing is merged, so the sparse form is the Kullback-Leibler divergence."""
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(3, 6, generator=generator), torch.randn(3, 6, generator=generator)
    p, q = teacher.softmax(dim=-1), student.softmax(dim=-1)
    ids, kept = _top(p, 5)

    assert torch.allclose(
        (p * (p / q).log()).sum(dim=1), sparse_divergence(student, ids, kept, "forward"), atol=1e-4
    )
    assert torch.allclose(
        (q * (q / p).log()).sum(dim=1), sparse_divergence(student, ids, kept, "reverse"), atol=1e-4
    )


def test_forward_and_reverse_divergence_punish_different_faults() -> None:
    """Missing one of two modes costs a student more forward; adding a mode costs more reverse."""
    two_modes, one_mode = torch.tensor([[0.5, 0.5, 1e-6]]), torch.tensor([[1.0 - 2e-6, 1e-6, 1e-6]])
    missed, added = (
        {way: sparse_divergence(student.log(), *_top(teacher, 2), way) for way in ("forward", "reverse")}
        for student, teacher in ((one_mode, two_modes), (two_modes, one_mode))
    )

    assert missed["forward"] > missed["reverse"]
    assert added["reverse"] > added["forward"]
