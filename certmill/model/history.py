"""How the last runs of a certificate ended: a short list in its status, for `describe`. Nothing is decided by
it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MOST: Final = 10
"""So many are kept; in a cluster they are an annotation of the Certificate."""
_MOST_TEXT: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run that ended at `at` (seconds since the epoch): `issued` or not, and the certificate or the failure
    in one line. `times`: so many runs in a row failed like this, the last one then."""

    at: float = 0.0
    issued: bool = False
    message: str = ""
    times: int = 1


def with_run(history: tuple[PastRun, ...], run: PastRun) -> tuple[PastRun, ...]:
    """The history, oldest first, with one more run. A failure like the one before is counted on: it does not
    push out what was issued."""
    run = replace(run, message=run.message[:_MOST_TEXT])
    if history and not run.issued and (history[-1].issued, history[-1].message) == (False, run.message):
        return (*history[:-1], replace(run, times=history[-1].times + 1))
    return (*history, run)[-MOST:]
