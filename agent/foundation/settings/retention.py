"""The settings of how long received data is kept."""

from __future__ import annotations

from pydantic import Field

from agent.foundation.settings.base import LONGEST_DAYS, Days, Section


class RetentionSettings(Section):
    """When received image files are purged; their rows, drafts and documents stay. Nothing by default."""

    keep_days: Days | None = Field(
        None, description="Purge a study this long (days) after its last step; never when left out."
    )
    free_space_mb: float | None = Field(
        None,
        gt=0,
        description="Purge the oldest studies while less space (MB) is free; above `storage.min_free_mb`.",
    )
    minimum_age_hours: float = Field(
        24,
        ge=1,
        le=24 * LONGEST_DAYS,
        description="No study is purged sooner than this (h) after its last step, however full.",
    )
    skipped_keep_days: Days | None = Field(
        None, description="The same as `keep_days` for studies that were SKIPPED or CANCELED."
    )
    failed_keep_days: Days | None = Field(
        None,
        description="The same for studies that are FAILED or DEAD; when left out, they are kept for a "
        "person to look at.",
    )
    quarantine_keep_days: Days | None = Field(
        None, description="The same for objects in quarantine; when left out, they are kept."
    )
    hl7_keep_days: Days | None = Field(
        None,
        description="Keep the bytes of received HL7 messages for this long (days); orders, patients and "
        "signed reports stay. When left out, the bytes stay too.",
    )
    unjudged_keep_days: Days | None = Field(
        None,
        description="Keep a study that no radiologist has accepted or rejected at least this long (days) "
        "after its draft.",
    )
    without_commitment: bool = Field(
        False,
        description="Purge also what destinations without storage commitment have only STORED. Set it if "
        "no destination offers storage commitment.",
    )

    @property
    def purges(self) -> bool:
        """Whether anything is purged automatically."""
        rules = (self.keep_days, self.free_space_mb, self.skipped_keep_days, self.failed_keep_days)
        return any(rule is not None for rule in (*rules, self.quarantine_keep_days))
