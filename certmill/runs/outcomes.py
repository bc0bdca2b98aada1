"""The outcomes that a step returns to the engine, and the results that the engine returns to the task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from certmill.errors import CertmillError, FailureClass, Temporary
from certmill.runs.facts import Facts
from certmill.state.record import Record


class Trouble(Enum):
    """Why a run must wait for its CA: the reasons for which another candidate issuer may take its place
    (renewal.fallback)."""

    CA_IS_OUT = auto()
    RATE_LIMITED = auto()
    NOT_READY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The next step may run. `renews`: the stored certificate replaces an earlier one."""

    facts: Facts
    renews: bool = False

    @property
    def word(self) -> str:
        """The name of the outcome in metrics. Each outcome has one."""
        return "advanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The same step runs again in `seconds`. `failed`: because of an error; the delay grows with each failure
    in a row. `counted`: False if the step could not begin, because a concurrency limit or a lock was not
    free. `facts`: None if they have not changed since the last checkpoint."""

    reason: str
    seconds: float
    failed: bool = False
    failure_class: FailureClass | None = None
    """The class of the error, if there was one."""
    trouble: Trouble | None = None
    counted: bool = True
    facts: Facts | None = None

    @property
    def word(self) -> str:
        return "retried" if self.failed else "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftToNewer:
    """A newer release wrote the facts, and this release cannot read them. They stay unchanged for a worker of
    the newer release. The step runs again in `seconds`."""

    reason: str
    seconds: float

    @property
    def word(self) -> str:
        return "left-to-newer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """An earlier step must run again, for example because the order is gone. `after`: the error after whose
    Retry-After the step runs; this restart does not count towards the limit."""

    step: str
    reason: str
    facts: Facts
    after: Temporary | None = None

    @property
    def word(self) -> str:
        return "went-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The run ends without a certificate, after its clean-up. `costly`: each try uses up orders or
    certificates, so the next run comes later."""

    error: CertmillError
    facts: Facts
    costly: bool = False

    @property
    def word(self) -> str:
        return "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The run is over. The Certificate is checked again at `next_check` (seconds since the epoch)."""

    next_check: float

    @property
    def word(self) -> str:
        return "finished"


Outcome = Advanced | Waiting | LeftToNewer | Restart | Failed | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Proceed:
    """To the task: done; the chain publishes the next step. With `claimed`, this worker has claimed the next
    step and continues with it."""

    claimed: Record | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """To the task: end this message's chain without an error, because the message is a duplicate or late.
    `publish_run`: also publish a chain from the record's step."""

    publish_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """To the task: show RETRY with this reason and publish nothing. The tick publishes the step in
    `seconds`."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """To the task: show FAILURE with this message of one line, and publish a chain from the record's step,
    which is the clean-up."""

    message: str


StepResult = Proceed | Drop | Wait | Fail
