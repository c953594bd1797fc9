"""The method page of the monthly report."""

from __future__ import annotations

METHOD = (
    "What is compared. The agent drafts a report from the images alone. The report that a radiologist "
    "signed, without having seen the draft, is the reference. Both texts are read by the same rules into "
    "findings with presence, side and severity; an error of reading therefore counts as a disagreement.",
    "What counts as present. A finding that a text does not mention counts as not present. A finding that "
    "either text leaves uncertain (“possible effusion”) is not counted in that study. The finding “no "
    "finding” is left out, because it only sums the others up.",
    "Sensitivity is the share of the signed findings that the draft has; specificity the share of the "
    "studies without the finding in which the draft does not have it; PPV the share of the drafted "
    "findings that are signed. Kappa is Cohen's. A disagreement is a finding present in one text only, or "
    "with another side.",
    "Intervals are Wilson's 95 % score intervals. With few cases they are wide: a difference between two "
    "devices or months whose intervals overlap may be chance.",
    "Drift. Each device's findings, flags, disagreements and input statistics (exposure, image size, "
    "brightness, vendor, software) are charted by cumulative sums of log-likelihood ratios (Page 1954; "
    "Reynolds and Stoumbos 1999). An alarm says that a rate has changed, not why: a new patient group, a "
    "new protocol, a defect, or the model.",
    "Probabilities, where there are any, come from the likelihood of the words of the draft, mapped by "
    "logistic regression on one half of the signed reports; the reliability plot shows the other half.",
    "Limits. The signed report is not the truth: it has its own misses. The figures hold for the studies "
    "whose reports have come, and for the models, devices and months that are named. They are no clinical "
    "evaluation.",
)
