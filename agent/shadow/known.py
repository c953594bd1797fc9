"""Checks that a model or a finding named by a person exists: a mistyped name would look like a result."""

from __future__ import annotations

from difflib import get_close_matches

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from agent.database.tables import ChallengerDraft, Draft
from agent.foundation.errors import NotFound
from model.findings.vocabulary import load_vocabulary

_SHOWN_DIGITS = 16


def model_digest(session: Session, beginning: str) -> str:
    """Return the digest of the one model with drafts whose digest begins like this; empty for all models.

    Raises:
        NotFound: no model with a draft, or several, have such a digest.
    """
    if not beginning:
        return ""
    drafted = union(select(Draft.model_digest), select(ChallengerDraft.model_digest))
    known = sorted(one for one in session.scalars(drafted) if one)
    fitting = [one for one in known if one.startswith(beginning.lower())]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(one[:_SHOWN_DIGITS] for one in fitting or known) or "none yet"
    how_many = "more than one model's" if fitting else "no model's"
    raise NotFound(f"{how_many} digest begins with {beginning!r}; models with drafts: {listed}")


def check_concept(name: str) -> None:
    """Raise NotFound if the vocabulary has no such finding."""
    known = load_vocabulary().concepts
    if name not in known:
        near = get_close_matches(name.lower().replace(" ", "_"), known, 1)
        cure = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(sorted(known))}"
        raise NotFound(f"the vocabulary has no finding {name!r}; {cure}")
