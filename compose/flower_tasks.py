"""Reads the tasks of a run from Flower's API: the steps in order, with their states and times."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import cast

_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """One task as Flower shows it. `started` is in seconds since the epoch; `seconds` is the run time.
    `reason` is the reason of a RETRY or a FAILURE, else ""."""

    name: str
    state: str
    started: float
    seconds: float
    retried: bool = False
    reason: str = ""


def tasks(address: str, user: str, password: str) -> list[TaskSeen]:
    """All tasks that have started, in order of their start. Returns an empty list if Flower does not answer.

    Raises urllib.error.HTTPError if Flower refuses the login.
    """
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(f"{address}/api/tasks", headers={"Authorization": f"Basic {login}"})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            found = cast("dict[str, dict[str, object]]", json.load(response))
    except urllib.error.HTTPError:
        raise
    except OSError:
        return []
    return sorted(
        (_seen(task) for task in found.values() if task.get("started")), key=lambda task: task.started
    )


def _seen(task: dict[str, object]) -> TaskSeen:
    return TaskSeen(
        name=str(task.get("name") or ""),
        state=str(task.get("state") or ""),
        started=float(cast("float", task["started"])),
        seconds=float(cast("float | None", task.get("runtime")) or 0.0),
        retried=bool(task.get("retried")),
        reason=str(task.get("exception") or ""),
    )
