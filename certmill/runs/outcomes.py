"""How a step ends (what a step returns), and what the caller of a step is to do (what the engine returns)."""

from __future__ import annotations

from dataclasses import dataclass

from certmill.errors import CertmillError, FailureClass, Temporary
from certmill.runs.facts import Facts
from certmill.state.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The next step may run. `renews`: what it stored took the place of an earlier certificate."""

    facts: Facts
    renews: bool = False

    @property
    def word(self) -> str:
        """For the metrics, as of every outcome."""
        return "advanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Not yet: the same step again in `seconds`. Nothing is wrong, unless `failed`: then more failures in a
    row wait longer. Without `counted` it is no try: the step waited for its turn, and has done nothing
    yet."""

    reason: str
    seconds: float
    failed: bool = False
    failure_class: FailureClass | None = None
    """Of what failed, if it was an error."""
    counted: bool = True
    facts: Facts | None = None

    @property
    def word(self) -> str:
        return "retried" if self.failed else "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftToNewer:
    """A newer release wrote the facts, and this one cannot read them: they stay as they are, for a newer
    worker. Looked at again in `seconds`."""

    reason: str
    seconds: float

    @property
    def word(self) -> str:
        return "left-to-newer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """An earlier step has to run again (an order is gone). `after`: what it has to wait for first; then it is
    no restart that counts."""

    step: str
    reason: str
    facts: Facts
    after: Temporary | None = None

    @property
    def word(self) -> str:
        return "went-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """This run ends without a certificate, after its clean-up. `costly`: it used up orders or certificates,
    and the next one would too."""

    error: CertmillError
    facts: Facts
    costly: bool = False

    @property
    def word(self) -> str:
        return "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The run is over; look at the certificate again at `next_check`."""

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
    """To the task: show FAILURE with this one line; a chain from the record's step (the clean-up) is to be
    published."""

    message: str


StepResult = Proceed | Drop | Wait | Fail
