"""`config.yaml` and ECHO_AGENT_* variables, validated into one frozen tree of settings.

Every key is listed in `docs/settings.md`. Unknown keys are errors, and all problems of a file are
reported at once, each with its path in the file.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.errors import SettingsError

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A part of the settings: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Section):
    """Where the queue lives."""

    url: str = Field("sqlite:///var/echo-agent.db", description="SQLAlchemy URL: SQLite file or PostgreSQL.")


class StorageSettings(Section):
    """Where received objects lie."""

    path: Path = Field(Path("var/instances"), description="Directory of the received objects.")
    min_free_mb: float = Field(
        1024, ge=0, description="Free space (MB) below which senders are answered 0xA700, to retry later."
    )


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
            ip_network(value, strict=False)
        return value


class TlsSettings(Section):
    """TLS with mutual authentication on the listener (PS3.15 B.12)."""

    certificate: Path = Field(description="PEM file: our certificate and its chain.")
    key: Path = Field(description="PEM file: our private key, readable by the service alone.")
    authorities: Path = Field(description="PEM file: the authorities that sign the peers' certificates.")
    handshake_timeout_s: Seconds = Field(5, description="Longest wait (s) for a peer's handshake.")


class ListenerSettings(Section):
    """The Storage and Verification SCP."""

    ae_title: AeTitle = Field("ECHO_AGENT", description="Our AE title.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
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
        1024, gt=0, description="Largest sum (MB) of the objects that are arriving at the same time."
    )
    drain_s: Seconds = Field(
        20, description="At a stop, open associations have this long (s) to finish their object."
    )
    tls: TlsSettings | None = Field(None, description="TLS; plain TCP when left out.")


class StudySettings(Section):
    """When a study counts as complete."""

    quiet_time_s: Seconds = Field(60, description="Silence (s) after the last image that completes a study.")
    stat_quiet_time_s: Seconds = Field(10, description="The same for a study whose request says STAT.")
    force_after_s: Seconds = Field(
        1800, description="A study still receiving after this time (s) is drafted and marked incomplete."
    )


class EligibilityRule(Section):
    """A rule on one image: the first rule whose conditions all hold decides."""

    name: str = Field(min_length=1, max_length=64, description="Shown as the reason.")
    decision: Literal["accept", "skip"]
    modality: tuple[str, ...] = Field((), description="Modality is one of these.")
    body_part: tuple[str, ...] = Field(
        (), description="BodyPartExamined is one of these; '' means empty, '*' any value."
    )
    anatomic_region: tuple[str, ...] = Field(
        (), description="AnatomicRegionSequence's code is one of these; '*' means any code."
    )
    view_position: tuple[str, ...] = Field(
        (), description="ViewPosition is one of these; '' means empty, '*' any value."
    )
    sop_class: tuple[str, ...] = Field((), description="SOPClassUID is one of these.")
    intent: tuple[str, ...] = Field((), description="PresentationIntentType is one of these.")
    pixel_data: bool | None = Field(None, description="Whether the object has pixel data.")
    multi_frame: bool | None = Field(None, description="Whether the object has more than one frame.")
    text: str | None = Field(
        None, description="Regular expression found in the study, series or protocol description, any case."
    )

    @field_validator("text")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is not None:
            re.compile(value)
        return value


DEFAULT_ELIGIBILITY = (
    EligibilityRule(name="no-pixel-data", decision="skip", pixel_data=False),
    EligibilityRule(name="multi-frame", decision="skip", multi_frame=True),
    EligibilityRule(name="for-processing", decision="skip", intent=("FOR PROCESSING",)),
    EligibilityRule(
        name="not-a-radiograph",
        decision="skip",
        modality=("CT", "MR", "US", "NM", "PT", "XA", "RF", "MG", "SR", "PR", "KO", "SEG", "DOC", "RTPLAN"),
    ),
    EligibilityRule(
        name="chest-body-part",
        decision="accept",
        modality=("CR", "DX"),
        body_part=("CHEST", "THORAX", "LUNG"),
    ),
    EligibilityRule(name="other-body-part", decision="skip", modality=("CR", "DX"), body_part=("*",)),
    EligibilityRule(
        name="chest-anatomic-region",
        decision="accept",
        modality=("CR", "DX"),
        # Thorax, chest and lung in SNOMED CT and in its older form.
        anatomic_region=("51185008", "T-D3000", "43799004", "39607008", "T-28000"),
    ),
    EligibilityRule(
        name="other-anatomic-region", decision="skip", modality=("CR", "DX"), anatomic_region=("*",)
    ),
    EligibilityRule(
        name="chest-by-description",
        decision="accept",
        modality=("CR", "DX"),
        text=r"\b(chest|thorax|cxr|lungs?)\b",
    ),
)


class ModelSettings(Section):
    """The network that drafts."""

    checkpoint: Path | None = Field(
        None, description="Checkpoint directory; the shipped demonstration checkpoint when left out."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the network runs.")
    memory_fraction: float = Field(
        0.8, gt=0, le=1, description="Share of the device's free memory that the network may use."
    )
    allow_demonstration: bool = Field(
        False, description="Let drafts of a demonstration model leave this machine."
    )


class WorkerSettings(Section):
    """How jobs are taken."""

    slots: int = Field(4, ge=1, le=256, description="Studies drafted together.")
    lease_s: Seconds = Field(60, description="A worker silent for this long (s) loses its jobs.")
    maximum_attempts: int = Field(3, ge=1, description="Attempts before a job is DEAD.")
    poll_s: Seconds = Field(1.0, description="Longest wait (s) before the queue is looked at again.")
    report_skipped: bool = Field(
        False, description="Send a 'no draft was produced' document for skipped studies too."
    )
    report_failed: bool = Field(
        False, description="Send a 'no draft was produced' document for failed studies too."
    )


class UrgencyRule(Section):
    """What makes a draft urgent: a finding that fits all of the conditions. The most urgent match counts."""

    name: str = Field(min_length=1, max_length=64, description="Shown beside the reason.")
    concept: tuple[str, ...] = Field(min_length=1, description="Keys of the findings' vocabulary.")
    presence: tuple[Literal["present", "indeterminate"], ...] = Field(
        ("present",), description="How sure the draft is of the finding."
    )
    severity: tuple[Literal["mild", "moderate", "severe"], ...] = Field(
        (), description="Severity is one of these; any, or none stated, when left out."
    )
    location: tuple[str, ...] = Field((), description="Location is one of these keys of the vocabulary.")
    except_change: tuple[Literal["new", "increased", "decreased", "unchanged", "resolved"], ...] = Field(
        (), description="Not when the finding is said to have changed in one of these ways."
    )
    level: Literal["critical", "urgent"] = Field(description="Word in worklist and documents.")
    priority: int = Field(ge=0, le=49, description="Smaller goes first; 0 STAT, 50 is a routine draft.")


DEFAULT_URGENCY = (
    UrgencyRule(
        name="pneumothorax",
        concept=("pneumothorax",),
        except_change=("resolved",),
        level="critical",
        priority=5,
    ),
    UrgencyRule(
        name="free-air",
        concept=("pneumoperitoneum",),
        except_change=("resolved",),
        level="critical",
        priority=5,
    ),
    UrgencyRule(name="malpositioned-device", concept=("malpositioned_device",), level="critical", priority=5),
    UrgencyRule(
        name="tube-in-bronchus",
        concept=("endotracheal_tube",),
        location=("right_main_bronchus",),
        level="critical",
        priority=5,
    ),
    UrgencyRule(name="tension-signs", concept=("tracheal_deviation",), level="urgent", priority=15),
    UrgencyRule(
        name="large-effusion",
        concept=("pleural_effusion",),
        severity=("severe",),
        level="urgent",
        priority=20,
    ),
    UrgencyRule(
        name="wide-mediastinum",
        concept=("widened_mediastinum", "pneumomediastinum"),
        level="urgent",
        priority=20,
    ),
    UrgencyRule(
        name="possible-pneumothorax",
        concept=("pneumothorax", "pneumoperitoneum"),
        presence=("indeterminate",),
        level="urgent",
        priority=25,
    ),
)


class DestinationSettings(Section):
    """A PACS that drafts are sent to."""

    name: str = Field(min_length=1, max_length=64, description="Name in logs, status and metrics.")
    host: str
    port: Port
    ae_title: AeTitle = Field(description="The PACS's AE title.")
    calling_ae_title: AeTitle = Field("ECHO_AGENT", description="Our AE title when we call.")
    findings_sop_class: Literal["comprehensive3d", "comprehensive", "enhanced"] = Field(
        "comprehensive3d", description="SOP class in which this PACS takes the findings document."
    )
    timeout_s: Seconds = Field(30, description="Longest wait (s) for an answer.")

    @property
    def loopback(self) -> bool:
        """Whether the destination is this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class DeliverySettings(Section):
    """Retries of the outbox."""

    first_retry_s: Seconds = Field(5, description="Backoff (s) after the first failure.")
    longest_retry_s: Seconds = Field(900, description="Backoff's upper bound (s).")
    give_up_after_s: Seconds = Field(86400, description="Age (s) at which an undelivered document is DEAD.")
    lease_s: Seconds = Field(120, description="A deliverer silent for this long (s) loses its deliveries.")
    poll_s: Seconds = Field(0.5, description="Longest wait (s) before the outbox is looked at again.")
    batch: int = Field(16, ge=1, description="Documents sent over one association.")


class LogSettings(Section):
    """Logging."""

    format: Literal["console", "json"] = Field("console", description="Console lines or JSON lines.")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity shown.")
    hash_key: str = Field(
        "", description="Key of the hash that stands for a study in logs; drawn at start when empty."
    )


class Settings(BaseSettings):
    """All settings. ECHO_AGENT_LISTENER__PORT=104 overrides `listener.port`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="ECHO_AGENT_", env_nested_delimiter="__"
    )

    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    listener: ListenerSettings = ListenerSettings()
    studies: StudySettings = StudySettings()
    eligibility: tuple[EligibilityRule, ...] = Field(
        DEFAULT_ELIGIBILITY, description="First match decides; an image that no rule matches is skipped."
    )
    model: ModelSettings = ModelSettings()
    worker: WorkerSettings = WorkerSettings()
    urgency: tuple[UrgencyRule, ...] = Field(
        DEFAULT_URGENCY, description="What makes a draft urgent; the most urgent rule that matches counts."
    )
    destinations: tuple[DestinationSettings, ...] = Field((), description="Where drafts go.")
    delivery: DeliverySettings = DeliverySettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, so that a secret can stay out of it."""
        return env_settings, init_settings


def load_settings(path: Path | None = None) -> Settings:
    """Read a configuration file and the environment.

    Relative paths in the file are relative to the working directory. Without a file the defaults hold.

    Raises:
        SettingsError: the file is missing, is no YAML, or has problems; all of them are listed.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error
        except yaml.YAMLError as error:
            raise SettingsError(f"{path} is no valid YAML: {error}") from error
        if loaded is not None and not isinstance(loaded, dict):
            raise SettingsError(f"{path} must hold sections such as 'listener:' at its top level")
        values = loaded or {}
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise SettingsError("\n".join([f"{path or 'environment'}: mend these settings:", *lines])) from error
