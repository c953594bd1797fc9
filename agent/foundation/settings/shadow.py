"""Sites, shadow mode, and the watch for drift: the sections `sites`, `shadow` and `drift` of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from agent.foundation.settings.base import AeTitle, Section

Mode = Literal["live", "shadow"]
# The shortest beginning of a checkpoint's digest that names it.
_SHORTEST_DIGEST = 8


class SiteSettings(Section):
    """A hospital or department that sends studies, identified by its calling AE titles."""

    name: str = Field(min_length=1, max_length=64, description="Name in reports, metrics and rows.")
    calling_ae_titles: tuple[AeTitle, ...] = Field(
        min_length=1, description="The AE titles that call from this site."
    )
    mode: Mode | None = Field(
        None, description="`live` or `shadow` for this site; `shadow.mode` when left out."
    )
    weight: float = Field(
        1,
        gt=0,
        le=1000,
        description="Share of this site while several sites wait in one lane: 2 gets twice as many drafts "
        "as 1.",
    )


class ChallengerSettings(Section):
    """A second model that drafts the same studies; its drafts are compared and go nowhere."""

    checkpoint: Path = Field(description="Checkpoint directory of the challenger.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the challenger runs.")
    memory_fraction: float = Field(
        0.4, gt=0, le=1, description="Share of the device's free memory that the challenger may use."
    )
    minimum_studies: int = Field(
        300,
        ge=1,
        le=1_000_000,
        description="Studies with a signed report that both models must have drafted before the "
        "challenger may take over.",
    )


class ShadowSettings(Section):
    """Drafts that are made, kept and compared with the signed reports, but not delivered.

    A draft is in shadow if its site, its sender, its model or the whole service is.
    """

    mode: Mode = Field(
        "live", description="`shadow` keeps every draft here, apart from sites that are `live`."
    )
    calling_ae_titles: tuple[AeTitle, ...] = Field(
        (), description="Senders whose studies are drafted in shadow, whatever their site's mode is."
    )
    models: tuple[str, ...] = Field(
        (),
        description="Models whose drafts stay in shadow: names, or at least the first 8 digits of the "
        "digest of their weights.",
    )
    challenger: ChallengerSettings | None = Field(
        None, description="A second model on the same studies; none when left out."
    )


class DriftSettings(Section):
    """When the rates of findings, flags, disagreements and input statistics count as having changed."""

    baseline: int = Field(
        200,
        ge=50,
        le=100_000,
        description="Number of a device's first drafts that form its baseline.",
    )
    studies: int = Field(
        3000, ge=100, le=10_000_000, description="Drafts of a device over which `false_alarm` is counted."
    )
    false_alarm: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Highest probability of any false alarm for one device in that many drafts.",
    )


def is_model(named: str, model_name: str, weights_sha256: str) -> bool:
    """Whether an entry of `shadow.models` means this model."""
    return named == model_name or (
        len(named) >= _SHORTEST_DIGEST and weights_sha256.startswith(named.lower())
    )


class SitedSettings:
    """What the settings say about sites and shadow mode."""

    sites: tuple[SiteSettings, ...]
    shadow: ShadowSettings

    def site_of(self, calling_ae_title: str) -> str:
        """Return the name of the sender's site; empty where it belongs to none."""
        site = self._site(calling_ae_title)
        return "" if site is None else site.name

    @property
    def site_weights(self) -> dict[str, float]:
        """The share of each site within a lane."""
        return {site.name: site.weight for site in self.sites}

    def in_shadow(self, calling_ae_title: str) -> bool:
        """Whether a sender's studies are drafted in shadow, whatever the model."""
        if calling_ae_title.strip() in self.shadow.calling_ae_titles:
            return True
        site = self._site(calling_ae_title)
        mode = self.shadow.mode if site is None or site.mode is None else site.mode
        return mode == "shadow"

    def model_in_shadow(self, model_name: str, weights_sha256: str) -> bool:
        """Whether a model's drafts stay in shadow, whoever sent the study."""
        return any(is_model(named, model_name, weights_sha256) for named in self.shadow.models)

    def _site(self, calling_ae_title: str) -> SiteSettings | None:
        title = calling_ae_title.strip()
        return next((site for site in self.sites if title in site.calling_ae_titles), None)


def check_sites(sites: tuple[SiteSettings, ...]) -> tuple[SiteSettings, ...]:
    """Return the sites if no two of them share a name or a sender.

    Raises:
        ValueError: they do.
    """
    for what, values in (
        ("name", [site.name for site in sites]),
        ("calling AE title", [title for site in sites for title in site.calling_ae_titles]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"two sites have the {what} {twice[0]!r}")
    return sites
