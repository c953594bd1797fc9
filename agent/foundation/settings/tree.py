"""`config.yaml` and ECHO_AGENT_* variables, validated into one frozen tree of settings.

Every key is listed in `docs/settings.md`. Unknown keys are errors, and all problems of a file are
reported at once, each with its path in the file.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.foundation.failure import RetryPolicy
from agent.foundation.settings.archive import ArchiveSettings as ArchiveSettings
from agent.foundation.settings.archive import PriorSettings as PriorSettings
from agent.foundation.settings.audit import AuditSettings as AuditSettings
from agent.foundation.settings.backfill import BackfillSettings as BackfillSettings
from agent.foundation.settings.base import AeTitle as AeTitle
from agent.foundation.settings.base import Host, HttpUrl, Port, Seconds, Section
from agent.foundation.settings.database_url import check_database_url
from agent.foundation.settings.delivery import ClientTlsSettings as ClientTlsSettings
from agent.foundation.settings.delivery import DeliverySettings as DeliverySettings
from agent.foundation.settings.destination import DestinationSettings as DestinationSettings
from agent.foundation.settings.hl7 import Hl7Settings as Hl7Settings
from agent.foundation.settings.listener_tls import TlsSettings as TlsSettings
from agent.foundation.settings.mwl import MwlSettings as MwlSettings
from agent.foundation.settings.retention import RetentionSettings as RetentionSettings
from agent.foundation.settings.rules import DEFAULT_ELIGIBILITY as DEFAULT_ELIGIBILITY
from agent.foundation.settings.rules import DEFAULT_URGENCY as DEFAULT_URGENCY
from agent.foundation.settings.rules import EligibilityRule as EligibilityRule
from agent.foundation.settings.rules import FindingsSettings as FindingsSettings
from agent.foundation.settings.rules import PlausibilitySettings as PlausibilitySettings
from agent.foundation.settings.rules import RoutingSettings as RoutingSettings
from agent.foundation.settings.rules import UrgencyRule as UrgencyRule
from agent.foundation.settings.shadow import DriftSettings as DriftSettings
from agent.foundation.settings.shadow import ShadowSettings as ShadowSettings
from agent.foundation.settings.shadow import SitedSettings, check_sites
from agent.foundation.settings.shadow import SiteSettings as SiteSettings
from agent.foundation.settings.signed import SignedReportsSettings as SignedReportsSettings
from agent.foundation.settings.stow import StowSettings as StowSettings
from agent.foundation.settings.ups import UpsSettings as UpsSettings
from agent.foundation.settings.web import OidcSettings as OidcSettings
from agent.foundation.settings.web import WebSettings as WebSettings


class DatabaseSettings(Section):
    """The database that holds the queue."""

    url: str = Field("sqlite:///var/echo-agent.db", description="SQLAlchemy URL: SQLite file or PostgreSQL.")

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        return check_database_url(value)


class StorageSettings(Section):
    """Where received objects are stored."""

    path: Path = Field(
        Path("var/instances"),
        description="Directory of the received objects; several machines may share it. With `url` it holds "
        "objects in transit and in use.",
    )
    url: str | None = Field(
        None,
        pattern=r"^(s3|file)://.+",
        description="`s3://bucket/prefix` keeps the objects there, for several machines; `file:///directory` "
        "is the same as `path`.",
    )
    endpoint_url: HttpUrl | None = Field(
        None, description="Address of an S3-compatible store other than Amazon's."
    )
    cache_mb: float = Field(10_000, gt=0, description="How much of the bucket `path` may cache (MB).")
    min_free_mb: float = Field(
        1024, ge=0, description="Free space (MB) below which senders are answered 0xA700, to retry later."
    )

    @model_validator(mode="before")
    @classmethod
    def _directory(cls, values: Any) -> Any:
        """A file URL names a directory, like `path`."""
        url = values.get("url") if isinstance(values, dict) else None
        if isinstance(url, str) and url.startswith("file://"):
            if "path" in values:
                raise ValueError("`storage.path` and a file URL in `storage.url` name two directories")
            return values | {"path": Path(url.removeprefix("file://")), "url": None}
        return values


class AllowedPeer(Section):
    """A peer that may open associations."""

    ae_title: AeTitle = Field(description="Calling AE title.")
    address: str | None = Field(None, description="IP address or CIDR network; any address when left out.")
    certificate_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 fingerprint (64 hex digits) of the peer's TLS certificate; any trusted one "
        "when left out.",
    )

    @field_validator("address")
    @classmethod
    def _network(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ip_network(value, strict=False)
            except ValueError:
                raise ValueError(
                    "give an IP address or a network such as 192.0.2.0/24; no name and no port"
                ) from None
        return value

    @field_validator("certificate_sha256", mode="before")
    @classmethod
    def _fingerprint(cls, value: Any) -> Any:
        """Take a fingerprint as OpenSSL prints it: upper case, with colons."""
        return value.replace(":", "").lower() if isinstance(value, str) else value


class ListenerSettings(Section):
    """The Storage and Verification SCP."""

    ae_title: AeTitle = Field("ECHO_AGENT", description="Our AE title.")
    host: Host = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port = Field(11112, description="TCP port; 0 takes a free one.")
    allow: tuple[AllowedPeer, ...] = Field(
        (), description="Peers that may send. Without an entry only loopback peers may."
    )
    require_called_ae_title: bool = Field(True, description="Refuse associations that call another AE title.")
    accept_secondary_capture: bool = Field(True, description="Offer the Secondary Capture SOP class too.")
    maximum_associations: int = Field(25, ge=1, description="Associations at the same time, over all peers.")
    network_timeout_s: Seconds = Field(60, description="Longest silence (s) on an open association.")
    acse_timeout_s: Seconds = Field(10, description="Longest wait (s) for an association request.")
    maximum_associations_per_peer: int = Field(
        10, ge=1, description="Associations at the same time from one address."
    )
    pdu_timeout_s: Seconds = Field(30, description="Longest time (s) that one PDU may take to arrive.")
    maximum_object_mb: float = Field(512, gt=0, description="Largest object (MB) that is taken.")
    maximum_in_flight_mb: float = Field(
        1024, gt=0, description="Largest total size (MB) of the objects that are arriving at the same time."
    )
    drain_s: Seconds = Field(
        20, description="At a stop, open associations have this long (s) to finish their object."
    )
    tls: TlsSettings | None = Field(None, description="TLS; plain TCP when left out.")
    stow: StowSettings | None = Field(None, description="Storage over HTTP (STOW-RS); none when left out.")
    housekeeping: bool = Field(
        True,
        description="Do the housekeeping in this process; false where `echo-agent housekeep` runs as well.",
    )


class StudySettings(Section):
    """When a study counts as complete."""

    quiet_time_s: Seconds = Field(60, description="A study is complete this long (s) after its last image.")
    stat_quiet_time_s: Seconds = Field(10, description="The same for a study whose request says STAT.")
    force_after_s: Seconds = Field(
        1800, description="A study still receiving after this time (s) is drafted and marked incomplete."
    )
    reconcile_with: Literal["archive"] | None = Field(
        None,
        description="Ask `archive` how many images of a quiet study it holds, and wait for those that are "
        "missing here, at most until `force_after_s`.",
    )

    @property
    def shortest_quiet_time_s(self) -> float:
        """The shortest quiet time (s) that a study may have."""
        return min(self.quiet_time_s, self.stat_quiet_time_s)

    def quiet_for_s(self, *, stat: bool) -> float:
        """Return the quiet time (s) of a study whose request says STAT, or does not."""
        return self.stat_quiet_time_s if stat else self.quiet_time_s


class ModelSettings(Section):
    """The network that drafts."""

    checkpoint: Path | None = Field(
        None, description="Checkpoint directory; the shipped demonstration checkpoint when left out."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the network runs.")
    memory_fraction: float = Field(
        0.8, gt=0, le=1, description="Share of the device's free memory that the network may use."
    )
    quantization: Literal["none", "int8"] = Field(
        "none",
        description="int8: weights in half the memory; refused at the start where the drafts would change.",
    )
    allow_demonstration: bool = Field(
        False, description="Allow drafts by a demonstration model to leave this machine."
    )


class WorkerSettings(Section):
    """How jobs are claimed."""

    slots: int = Field(4, ge=1, le=256, description="Studies drafted together.")
    lease_s: Seconds = Field(60, description="A worker silent for this long (s) loses its jobs.")
    maximum_attempts: int = Field(3, ge=1, description="Attempts before a job is DEAD.")
    first_retry_s: Seconds = Field(
        5, description="Longest wait (s) after the first failed attempt; each further one doubles it."
    )
    longest_retry_s: Seconds = Field(900, description="Longest wait (s) after any failed attempt.")
    poll_s: Seconds = Field(1.0, description="Longest wait (s) before the queue is polled again.")
    report_skipped: bool = Field(
        False, description="Send a 'no draft was produced' document for skipped studies too."
    )
    report_failed: bool = Field(
        False, description="Send a 'no draft was produced' document for failed studies too."
    )

    @property
    def retry(self) -> RetryPolicy:
        """When a job is tried again."""
        return RetryPolicy(
            maximum_attempts=self.maximum_attempts,
            first_s=self.first_retry_s,
            longest_s=self.longest_retry_s,
        )


class LogSettings(Section):
    """Logging."""

    format: Literal["console", "json"] = Field("console", description="Console lines or JSON lines.")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity shown.")
    hash_key: str = Field(
        "", description="Key of the hash that identifies a study in logs; when empty, one in the database."
    )


class Settings(SitedSettings, BaseSettings):
    """All settings. ECHO_AGENT_LISTENER__PORT=104 overrides `listener.port`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, env_prefix="ECHO_AGENT_", env_nested_delimiter="__"
    )

    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    listener: ListenerSettings = ListenerSettings()
    hl7: Hl7Settings = Hl7Settings()
    mwl: MwlSettings | None = None
    studies: StudySettings = StudySettings()
    archive: ArchiveSettings | None = None
    priors: PriorSettings = PriorSettings()
    backfill: BackfillSettings = BackfillSettings()
    eligibility: tuple[EligibilityRule, ...] = Field(
        DEFAULT_ELIGIBILITY, description="First match decides; an image that no rule matches is skipped."
    )
    routing: RoutingSettings = RoutingSettings()
    plausibility: PlausibilitySettings = PlausibilitySettings()
    findings: FindingsSettings = FindingsSettings()
    model: ModelSettings = ModelSettings()
    worker: WorkerSettings = WorkerSettings()
    urgency: tuple[UrgencyRule, ...] = Field(
        DEFAULT_URGENCY, description="What makes a draft urgent; the most urgent rule that matches counts."
    )
    destinations: tuple[DestinationSettings, ...] = Field((), description="Where drafts go.")
    delivery: DeliverySettings = DeliverySettings()
    web: WebSettings = WebSettings()
    ups: UpsSettings = UpsSettings()
    sites: tuple[SiteSettings, ...] = Field(
        (), description="The sites that send: for turns in the queue, shadow mode, metrics and reports."
    )
    shadow: ShadowSettings = ShadowSettings()
    drift: DriftSettings = DriftSettings()
    signed_reports: SignedReportsSettings = SignedReportsSettings()
    retention: RetentionSettings = RetentionSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()

    @field_validator("destinations")
    @classmethod
    def _name_destinations_apart(
        cls, value: tuple[DestinationSettings, ...]
    ) -> tuple[DestinationSettings, ...]:
        names = [one.name for one in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two destinations have the name {twice[0]!r}: each needs one of its own")
        return value

    @field_validator("sites")
    @classmethod
    def _tell_sites_apart(cls, value: tuple[SiteSettings, ...]) -> tuple[SiteSettings, ...]:
        return check_sites(value)

    @model_validator(mode="after")
    def _fit_the_archive(self) -> Self:
        asked = self.studies.reconcile_with is not None or self.signed_reports.archive_poll_s is not None
        if self.archive is None and (self.priors.enabled or asked):
            raise ValueError(
                "`priors.enabled`, `studies.reconcile_with` and `signed_reports.archive_poll_s` need the "
                "section `archive`"
            )
        if self.priors.enabled and self.priors.move_destination.strip() == self.listener.ae_title.strip():
            raise ValueError(
                "`priors.move_destination` must differ from `listener.ae_title`: it tells earlier studies "
                "from new ones"
            )
        return self

    @model_validator(mode="after")
    def _tell_old_studies_apart(self) -> Self:
        if not self.backfill.enabled:
            return self
        if self.archive is None:
            raise ValueError("`backfill.enabled` needs the section `archive`")
        others = {self.listener.ae_title.strip()}
        if self.priors.enabled:
            others.add(self.priors.move_destination.strip())
        if self.backfill.move_destination.strip() in others:
            raise ValueError(
                "`backfill.move_destination` must differ from the listener's other AE titles: it tells old "
                "studies from new ones"
            )
        return self

    @model_validator(mode="after")
    def _purge_before_senders_wait(self) -> Self:
        wanted = self.retention.free_space_mb
        if wanted is not None and self.storage.url is not None:
            raise ValueError(
                "`retention.free_space_mb` is for a disk; in a bucket (`storage.url`) ages count"
            )
        if wanted is not None and wanted <= self.storage.min_free_mb:
            raise ValueError(
                "`retention.free_space_mb` must be above `storage.min_free_mb`, below which senders are told "
                "to wait: else nothing is purged before"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment takes precedence, so that secrets can be kept out of the file."""
        return env_settings, init_settings
