"""Regular variants of a phrase, so that the vocabulary lists each term once."""

from __future__ import annotations

import re

_BRITISH = (
    ("edema", "oedema"), ("hemo", "haemo"), ("esophag", "oesophag"), ("tumor", "tumour"),
    ("fiber", "fibre"), ("center", "centre"), ("hematoma", "haematoma"), ("anemia", "anaemia"),
)  # fmt: skip
_IRREGULAR = {
    "atelectasis": "atelectases", "metastasis": "metastases", "hilum": "hila", "bulla": "bullae",
    "diagnosis": "diagnoses", "pneumothorax": "pneumothoraces", "apex": "apices", "process": "processes",
    "hernia": "hernias", "abscess": "abscesses", "mass": "masses", "pneumonia": "pneumonias",
}  # fmt: skip


def variants(phrase: str) -> tuple[str, ...]:
    """The phrase, its plural and their British spellings; `of` phrases also with a plural head.

    >>> variants("pleural effusion")
    ('pleural effusion', 'pleural effusions')
    """
    forms = [phrase, _plural(phrase)]
    head, of, rest = phrase.partition(" of ")
    if of:
        forms.append(f"{_plural(head)} of {rest}")
    for american, british in _BRITISH:
        forms += [form.replace(american, british) for form in forms if american in form]
    return tuple(dict.fromkeys(forms))


def british(phrase: str) -> tuple[str, ...]:
    """A phrase of English and its British spelling.

    >>> british("is favored over")
    ('is favored over', 'is favoured over')
    """
    other = re.sub(r"(?<=fav)or", "our", re.sub(r"(?<=al)iz(?=ed)", "is", phrase))
    return tuple(dict.fromkeys((phrase, other)))


def _plural(phrase: str) -> str:
    words = phrase.split(" ")
    last = words[-1]
    if last in _IRREGULAR:
        words[-1] = _IRREGULAR[last]
    elif re.search(r"(?:s|ed|ive|ous|ic)$", last):
        return phrase
    elif re.search(r"[^aeiou]y$", last):
        words[-1] = last[:-1] + "ies"
    elif re.search(r"(?:x|ch|sh)$", last):
        words[-1] = last + "es"
    else:
        words[-1] = last + "s"
    return " ".join(words)
