"""The record of a certificate's run, read from its hash in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from certmill.model.trigger import Trigger


class RunResult(StrEnum):
    """How the last run ended. A run that failed has the failure's message in its record instead, and a newer
    release may write other text."""

    ISSUED = "issued"
    """The pair was stored."""
    ENDED = "ended"
    """The run ended with neither a pair nor a failure: its Certificate was deleted or changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The fields of a record. An empty `step` means idle. Instants are in seconds since the epoch. This
    module does not interpret `facts` and `sealed_key`. `result` is a RunResult, or the message of a failure.

    About the current step: `attempts` counts the attempts that began and did not end; `tries` counts those
    that ended in a wait; `failures` counts the last of these that waited because of a failure. `wait_class`
    is the class of that failure (errors.FailureClass), or empty. `lock` is the key of the order's lock that
    the run owns. `unread_since`: since when no worker that claimed the step could read its facts, because
    they belong to another release."""

    step: str = ""
    fence: int = 0
    lease: float = 0.0
    attempts: int = 0
    tries: int = 0
    task_id: str = ""
    root_id: str = ""
    spec: str = ""
    again: str = ""
    run: int = 0
    done: int = 0
    result: str = ""
    since: float = 0.0
    begun: float = 0.0
    due: float = 0.0
    reason: str = ""
    wait_class: str = ""
    lock: str = ""
    failures: int = 0
    trigger: Trigger = Trigger.UNKNOWN
    unread_since: float = 0.0
    facts: str = field(default="", repr=False)
    sealed_key: str = field(default="", repr=False)

    @property
    def was_issued(self) -> bool:
        """Whether the last run that ended has stored a pair."""
        return self.result == RunResult.ISSUED

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Record:
        """Read the fields of the hash. A missing field, or one that is not a number, has its default. Fields
        that a newer release added are ignored."""

        def number(name: str) -> float:
            try:
                return float(fields.get(name) or 0)
            except ValueError:
                return 0.0

        return cls(
            step=fields.get("step", ""),
            fence=int(number("fence")),
            lease=number("lease"),
            attempts=int(number("attempts")),
            tries=int(number("tries")),
            task_id=fields.get("task", ""),
            root_id=fields.get("root", ""),
            spec=fields.get("spec", ""),
            again=fields.get("again", ""),
            run=int(number("run")),
            done=int(number("done")),
            result=fields.get("result", ""),
            since=number("since"),
            begun=number("begun"),
            due=number("due"),
            reason=fields.get("reason", ""),
            wait_class=fields.get("wait_class", ""),
            lock=fields.get("lock", ""),
            failures=int(number("failures")),
            trigger=Trigger.read(fields.get("trigger")),
            unread_since=number("unread_since"),
            facts=fields.get("facts", ""),
            sealed_key=fields.get("key", ""),
        )
