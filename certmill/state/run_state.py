"""Values that `state.records` takes and returns: the run state that a decision depends on, what became of the
decision, and the chains to publish."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from certmill.model.fallback import Fallback
from certmill.model.names import CertificateId
from certmill.model.trigger import Trigger


class Verdict(StrEnum):
    """What begin() did."""

    BEGUN = "begun"
    JOINED = "joined"
    AGAIN = "again"
    STALE = "stale"


class Adoption(StrEnum):
    """What adopt() did. `running`: a run is under way, or follows at once. `stale`: the Certificate was
    deleted since the caller read the run state."""

    ADOPTED = "adopted"
    RUNNING = "running"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a decision depends on; a caller reads it before the decision.

    `rerun_reason`: why another run must follow ("force", the digest of a changed manifest, or ""). `run`: the
    number of the last run, "under way", or "0" if Redis knows none. `deletions`: how often a Certificate of
    this id was deleted lately. `spec`: the digest of the run under way, else "". `fallback`: set if the run
    under way, or the next one, uses a fall-back issuer."""

    rerun_reason: str
    run: str
    deletions: str
    spec: str = ""
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeUp:
    """A chain to publish: the steps from `step` on. `task_id` (if not empty) is the id of the waiting task,
    so that Flower shows the same task continuing. `retries` is how often it has waited."""

    certificate: CertificateId
    step: str
    task_id: str = ""
    root_id: str = ""
    trigger: Trigger = Trigger.UNKNOWN
    run: int = 0
    retries: int = 0
