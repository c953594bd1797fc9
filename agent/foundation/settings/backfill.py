"""The section `backfill` of the settings: old studies of the archive, drafted when nothing else waits."""

from __future__ import annotations

import re
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from agent.foundation.failure import RetryPolicy
from agent.foundation.settings.base import AeTitle, Seconds, Section

_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class WindowSettings(Section):
    """The hours of each day in which the archive may be queried; they may span midnight."""

    opens: str = Field("20:00", description="Local time (HH:MM, in quotes) at which it opens.")
    closes: str = Field(
        "06:00",
        description="Local time (HH:MM, in quotes) at which it closes; never, if it is the same as `opens`.",
    )
    time_zone: str = Field(
        "", description="IANA name such as Europe/Berlin; the machine's time zone when left out."
    )

    @field_validator("opens", "closes")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        if _TIME_OF_DAY.fullmatch(value) is None:
            raise ValueError('give a time of day in quotes, such as "20:00"')
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("there is no such time zone; give a name such as Europe/Berlin") from None
        return value


class BackfillSettings(Section):
    """Old studies of `archive`: found by date, retrieved within a budget, drafted after everything else."""

    enabled: bool = Field(
        False,
        description="Whether the listener accepts studies sent to `move_destination`, and they are drafted.",
    )
    move_destination: AeTitle = Field(
        "ECHO_BACKFILL",
        description="AE title by which the archive knows this listener for old studies; what is sent to it "
        "is drafted in the lane `backfill`. It must differ from the listener's other AE titles.",
    )
    retrieve: Literal["c-move", "c-get"] = Field(
        "c-move",
        description="How objects are retrieved from a DICOM archive: `c-get` needs no open port and no AE "
        "title at the archive.",
    )
    modalities: tuple[str, ...] = Field(
        ("CR", "DX"), min_length=1, description="Each is queried separately (Modalities in Study)."
    )
    slice_days: int = Field(
        7, ge=1, le=366, description="Days that a query covers at first; a full answer divides it."
    )
    answer_limit: int = Field(
        500,
        ge=2,
        le=100_000,
        description="An answer with this many studies may be cut off, so its query is divided. At most "
        "what the archive returns for one query.",
    )
    window: WindowSettings | None = Field(
        None, description="Hours in which the archive is queried; at any time when left out."
    )
    studies_per_minute: float = Field(
        30,
        gt=0,
        le=60_000,
        description="Studies retrieved per minute by all processes together, evenly spaced.",
    )
    queries_per_minute: float = Field(
        60,
        gt=0,
        le=60_000,
        description="Queries by date per minute by all processes together, evenly spaced.",
    )
    in_flight: int = Field(2, ge=1, le=64, description="Studies retrieved at the same time.")
    backlog: int = Field(
        50,
        ge=1,
        description="While this many jobs in the lane `backfill` await their draft, nothing is retrieved.",
    )
    retrieve_timeout_s: Seconds = Field(300, description="Longest time (s) for the retrieval of one study.")
    maximum_attempts: int = Field(
        5, ge=1, description="Attempts to retrieve a study, or to make a query, before it is DEAD."
    )
    first_retry_s: Seconds = Field(
        60,
        description="Longest wait (s) after the first failure of a study or of the archive; each further "
        "one doubles it.",
    )
    longest_retry_s: Seconds = Field(3600, description="Longest wait (s) after any failure.")
    trust_study_description: bool = Field(
        False,
        description="Leave a study in the archive if its description alone names another region. Otherwise "
        "that takes an attribute of a series or image.",
    )
    nice: int = Field(
        10,
        ge=0,
        le=19,
        description="Added to the niceness of the retrieving process, whose disk access then also yields to "
        "other processes; 0 changes neither.",
    )
    deliver: bool = Field(
        False, description="Deliver the drafts of old studies; otherwise they are kept, as in shadow mode."
    )

    @field_validator("modalities")
    @classmethod
    def _plain_modalities(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if re.fullmatch(r"[A-Z0-9_ ]{1,16}", one) is None:
                raise ValueError("a modality is a code such as CR, without wildcards")
        return tuple(dict.fromkeys(value))

    @property
    def retry(self) -> RetryPolicy:
        """When a query or a study is tried again, and how long an archive in trouble is left alone."""
        return RetryPolicy(
            maximum_attempts=self.maximum_attempts,
            first_s=self.first_retry_s,
            longest_s=self.longest_retry_s,
        )
