"""What began a run of a certificate. Shown in Flower, in logs and in metrics; kept in the record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Trigger(StrEnum):
    """What began a run."""

    REQUEST = "request"
    """Another service asked for the certificate (`certificate.request`)."""
    MANIFEST = "manifest"
    """The stored pair is not what the manifest wants: there is none, or the manifest has changed."""
    RENEWAL = "renewal"
    """The stored pair has reached its renewal time, or has expired."""
    MANUAL = "manual"
    """A person asked for a new certificate (`certmill renew`, `certificate.renew`, `cmctl renew`)."""
    UNKNOWN = "unknown"
    """The record was written by another release, which did not say."""

    @classmethod
    def read(cls, text: str | None) -> Trigger:
        """The trigger as a record or a message names it; UNKNOWN for a name that this release does not
        know."""
        try:
            return cls(text or "")
        except ValueError:
            return cls.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run comes from: the task that asked for it, which is then its root, if any; and what began
    it."""

    root_id: str = ""
    trigger: Trigger = Trigger.UNKNOWN


UNSAID = Origin()
"""Nobody asked: what is wrong with the stored pair says what begins the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileOptions:
    """What a caller asks of a reconciliation, for the manifest and the Secret that are there."""

    force: bool = False
    """Issue a new certificate even if the stored one is right."""
    ignore_back_off: bool = False
    """Do not wait for the back-off after a failure to end."""
    origin: Origin = UNSAID
    may_publish: bool = True
    """Whether a run that begins may be published at once; else it waits among the arrivals."""


AS_STORED = ReconcileOptions()
