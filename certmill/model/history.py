"""Keeps a short list of how a Certificate's last runs ended, in its status, for `describe`. One decision
depends on it: how soon after its issue a pair may be renewed (`model.status.issued_at`). Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MOST: Final = 10
"""The maximum length of the list. In a cluster, the list is an annotation of the Certificate."""
_MOST_TEXT: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run that ended at `at` (seconds since the epoch): whether it `issued`, and the certificate or the
    failure in one line. `times`: the number of runs in a row that failed with this message; `at` is the last
    one."""

    at: float = 0.0
    issued: bool = False
    message: str = ""
    times: int = 1


def with_run(history: tuple[PastRun, ...], run: PastRun) -> tuple[PastRun, ...]:
    """The history, oldest first, with one more run. A failure with the same message as the previous one only
    raises its count, so that it does not push out older runs."""
    if len(run.message) > _MOST_TEXT:
        run = replace(run, message=run.message[: _MOST_TEXT - 1] + "…")
    if history and not run.issued and (history[-1].issued, history[-1].message) == (False, run.message):
        return (*history[:-1], replace(run, times=history[-1].times + 1))
    return (*history, run)[-MOST:]
