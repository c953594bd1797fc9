"""Divergences between a sparsely stored teacher distribution and the student's logits."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

_TINY = 1e-8


def sparse_divergence(
    logits: Tensor, ids: Tensor, probabilities: Tensor, kind: Literal["forward", "reverse"]
) -> Tensor:
    """KL over K + 1 outcomes: the teacher's K most probable tokens, and all others together.

    Args:
        logits: [N, V], the student's.
        ids: int [N, K], the teacher's most probable tokens. probabilities: [N, K], their probabilities; the
        remainder to 1 belongs to all other tokens.
        kind: forward is KL(teacher || student), reverse KL(student || teacher).

    Returns: [N], nats; 0 if the two agree on all K + 1 outcomes.
    """
    logs = logits.float().log_softmax(dim=-1)
    top = logs.gather(1, ids)  # [N, K]
    rest = (1.0 - top.exp().sum(dim=1, keepdim=True)).clamp(min=_TINY).log()
    student = torch.cat([top, rest], dim=1)  # [N, K + 1], log-probabilities
    kept = probabilities.float()
    teacher = torch.cat([kept, (1.0 - kept.sum(dim=1, keepdim=True))], dim=1).clamp(min=_TINY)
    if kind == "forward":
        return (teacher * (teacher.log() - student)).sum(dim=1)
    return (student.exp() * (student - teacher.log())).sum(dim=1)
