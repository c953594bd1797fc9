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
    """The hours of each day in which the archive may be asked; they may go over midnight."""

    opens: str = Field("20:00", description="Local time (HH:MM, in quotes) from which it is open.")
    closes: str = Field(
        "06:00",
        description="Local time (HH:MM, in quotes) from which it is closed; the same as `opens`: never.",
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
        False, description="Whether the listener takes what is called to `move_destination`, to be drafted."
    )
    move_destination: AeTitle = Field(
        "ECHO_BACKFILL",
        description="AE title by which the archive knows this listener for old studies; what is called to it "
        "is drafted in the lane `backfill`. It must differ from the listener's other AE titles.",
    )
    retrieve: Literal["c-move", "c-get"] = Field(
        "c-move",
        description="How a DICOM archive is asked for objects: `c-get` needs no open port and no AE title at "
        "the archive.",
    )
    modalities: tuple[str, ...] = Field(
        ("CR", "DX"), min_length=1, description="Each is asked for by itself (Modalities in Study)."
    )
    slice_days: int = Field(
        7, ge=1, le=366, description="Days of one query at first; full answers divide it."
    )
    answer_limit: int = Field(
        500,
        ge=2,
        le=100_000,
        description="An answer of so many studies may have been cut off, and its query is divided. At most "
        "what the archive gives to one query.",
    )
    window: WindowSettings | None = Field(
        None, description="Hours in which the archive is asked; at any time when left out."
    )
    studies_per_minute: float = Field(
        30, gt=0, le=60_000, description="Studies that are retrieved per minute, evenly, over all processes."
    )
    queries_per_minute: float = Field(
        60, gt=0, le=60_000, description="Queries by date per minute, evenly, over all processes."
    )
    in_flight: int = Field(2, ge=1, le=64, description="Studies that are being retrieved at the same time.")
    backlog: int = Field(
        50,
        ge=1,
        description="With so many jobs in the lane `backfill` before their draft, nothing is retrieved.",
    )
    retrieve_timeout_s: Seconds = Field(300, description="Longest time (s) for the retrieval of one study.")
    maximum_attempts: int = Field(
        5, ge=1, description="Retrievals of a study, or queries, before it is DEAD."
    )
    first_retry_s: Seconds = Field(
        60, description="Longest wait (s) after the first failure, of a study or of the archive; it doubles."
    )
    longest_retry_s: Seconds = Field(3600, description="Longest wait (s) after any failure.")
    trust_study_description: bool = Field(
        False,
        description="Leave a study in the archive if its description alone names another region. Else that "
        "takes an attribute of a series or image.",
    )
    nice: int = Field(
        10,
        ge=0,
        le=19,
        description="Added to the niceness of the process that retrieves, which also reads and writes after "
        "others; 0 leaves both as they are.",
    )
    deliver: bool = Field(
        False, description="Deliver the drafts of old studies; else they are kept, as in shadow mode."
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
