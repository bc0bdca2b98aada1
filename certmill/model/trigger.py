"""Defines what can begin a run of a Certificate. Flower, logs and metrics show it, and the record stores
it."""

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
    """The record was written by another release, which did not store the trigger."""

    @classmethod
    def read(cls, text: str | None) -> Trigger:
        """The trigger with this name in a record or message; UNKNOWN for a name that this release does not
        know."""
        try:
            return cls(text or "")
        except ValueError:
            return cls.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a run: `root_id` is the id of the task that requested it ("" if none), `trigger` is what
    began it."""

    root_id: str = ""
    trigger: Trigger = Trigger.UNKNOWN


UNSAID = Origin()
"""No caller requested the run: the violation of the stored pair determines its trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileOptions:
    """The options of a reconcile request."""

    force: bool = False
    """Issue a new certificate even if the stored one is right."""
    ignore_back_off: bool = False
    """Do not wait for the back-off after a failure to end."""
    origin: Origin = UNSAID
    may_publish: bool = True
    """Whether the wake-up of a new run may be published at once; otherwise the run waits among the
    arrivals."""


AS_STORED = ReconcileOptions()
