"""Writes the headers of a message anew, with only what Celery needs. Nothing that an unknown sender wrote
reaches Flower. Pure functions."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from certmill.contract import RENEW_TASK, REQUESTS_QUEUE, STEPS_QUEUE, shown_run
from certmill.model.identifiers import is_namespace_name, is_object_name
from certmill.model.trigger import Trigger

_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_YEARS = range(2000, 2200)  # Celery computes with the date; years at the ends of the calendar overflow
_MAX_RETRIES = 1_000_000


class Refusal(Exception):
    """The message must not reach a task. `str(refusal)` is the reason, and never contains the message's
    content."""


def headers_of(headers: dict[str, object], args: list[object], queue: str) -> dict[str, object]:
    """Return new headers: only what Celery needs, each checked. Raises Refusal. `argsrepr` and `kwargsrepr`
    are what Flower and the log show: the id of the certificate, and what began the run."""
    task_id = headers["id"]
    foreign = queue == REQUESTS_QUEUE
    root_id, parent_id, retries = headers.get("root_id"), headers.get("parent_id"), headers.get("retries")
    shown = f"({requested(args) or '?'!r},)" if foreign else f"({args[0]!r},)" if args else "()"
    return {
        "lang": "py",
        "task": headers["task"],
        "id": task_id,
        "root_id": root_id if is_task_id(root_id) and not foreign else task_id,
        "parent_id": parent_id
        if is_task_id(parent_id) and not foreign and parent_id != task_id
        else None,  # a root has none
        "group": None,
        "shadow": None,
        "eta": None,
        "expires": _expiry(headers.get("expires")),
        "retries": retries if type(retries) is int and 0 <= retries <= _MAX_RETRIES and not foreign else 0,
        "timelimit": [None, None],
        "argsrepr": shown,
        "kwargsrepr": _shown_run(headers, queue),
        "origin": None,
    }


_SHOWN_RUN = re.compile(rf"{{'trigger': '({'|'.join(Trigger)})'(, 'run': [0-9]{{1,12}})?}}")


def _shown_run(headers: dict[str, object], queue: str) -> str:
    """Return what began the run, and its number. For a step, its header contains them; for a request, the
    name of the task determines what began the run."""
    if queue == REQUESTS_QUEUE:
        return shown_run(Trigger.MANUAL if headers["task"] == RENEW_TASK else Trigger.REQUEST)
    shown = headers.get("kwargsrepr")
    return shown if queue == STEPS_QUEUE and isinstance(shown, str) and _SHOWN_RUN.fullmatch(shown) else "{}"


def _expiry(value: object) -> str | None:
    if value is None:
        return None
    try:
        expiry = datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refusal("the header `expires` is not a date and time (ISO 8601)") from None
    if expiry.year not in _YEARS:
        raise Refusal("the header `expires` is not a date and time of this age")
    return expiry.isoformat()


def requested(args: list[object]) -> str:
    """Return the `namespace/name` in a request's arguments, or an empty string if it is not valid."""
    body = args[0] if args else None
    if not isinstance(body, dict):
        return ""
    namespace, name = body.get("namespace", "default"), body.get("name")
    certificate = f"{namespace}/{name}" if isinstance(namespace, str) and isinstance(name, str) else ""
    return certificate if is_certificate_id(certificate) else ""


def is_task_id(value: object) -> bool:
    """Whether this value may be shown, and be part of a key."""
    return isinstance(value, str) and _TASK_ID.fullmatch(value) is not None


def is_certificate_id(value: object) -> bool:
    """Whether this value is the namespace/name of a Certificate."""
    if not isinstance(value, str):
        return False
    namespace, slash, name = value.partition("/")
    return bool(slash) and is_namespace_name(namespace) and is_object_name(name)
