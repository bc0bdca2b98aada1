"""Defines the messages of certmill: task names, queues, and the bodies of the two messages that other
services may send.

A producer in any language puts a Celery message (protocol 2, JSON) for `certificate.request` or
`certificate.renew` on the queue `certmill.requests`, with one positional argument: the body defined below.
All other messages are internal to certmill: the message of a step has only the Certificate's id."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Sequence
from typing import NotRequired, TypedDict

from certmill.model.trigger import Trigger

REQUESTS_QUEUE = "certmill.requests"
STEPS_QUEUE = "certmill.steps"
CHANGES_QUEUE = "certmill.changes"
TICKS_QUEUE = "certmill.ticks"

REQUEST_TASK = "certificate.request"
RENEW_TASK = "certificate.renew"

STEP_NAMES = (
    "register_account",
    "create_order",
    "set_up_challenge",
    "wait_for_propagation",
    "validate",
    "finalize",
    "store_secret",
    "clean_up",
)
"""The steps of a run, in order (certmill.runs.chain)."""

STEP_TASKS = tuple(f"certificate.{step}" for step in STEP_NAMES)

WAKE_TASK = "tick.wake"
RENEWALS_TASK = "tick.renewals"
ARI_TASK = "tick.ari"
SWEEP_TASK = "tick.sweep"
REREAD_TASK = "tick.reread"
TICK_TASKS = (WAKE_TASK, RENEWALS_TASK, ARI_TASK, SWEEP_TASK, REREAD_TASK)

RECONCILE_TASKS = {
    kind: f"reconcile.{kind.lower()}"
    for kind in ("Certificate", "Issuer", "ClusterIssuer", "Ingress", "VirtualServer")
}
"""Task name by kind: reconcile this object of the cluster. Arguments: `namespace/name`, or the name of a
ClusterIssuer. For an Ingress or a VirtualServer, the names of Certificates that it may no longer need can
follow, at most MAX_LEFT."""

MAX_LEFT = 100

TASKS_OF_QUEUE: dict[str, frozenset[str]] = {
    REQUESTS_QUEUE: frozenset({REQUEST_TASK, RENEW_TASK}),
    STEPS_QUEUE: frozenset(STEP_TASKS),
    CHANGES_QUEUE: frozenset(RECONCILE_TASKS.values()),
    TICKS_QUEUE: frozenset(TICK_TASKS),
}
"""The task names that each queue may have; the guard (workers.broker.guard) rejects all others."""

WAKE_UP_QUEUES = frozenset({STEPS_QUEUE, TICKS_QUEUE})
"""The queues whose messages may be lost, because they are published again. In the other queues, a message is
the only copy of a request."""

MAX_MESSAGE_BYTES = 65_536
"""The size limit of a whole message, in bytes, which the guard enforces. A body may have half of it (the
client rejects larger ones), because base64 and headers add to its size."""


def shown_run(trigger: Trigger, run: int = 0) -> str:
    """The header `kwargsrepr` of a task. Flower shows it and searches in it; the task itself does not get it.

    It has Celery's own form, so that `kwargs:trigger=renewal` and `kwargs:run=17` work as searches. `run` is
    the number of the Certificate's run; 0: not shown."""
    return str({"trigger": trigger.value} | ({"run": run} if run else {}))


class RequestBody(TypedDict):
    """The body of `certificate.request`. `spec` is the spec of a cert-manager.io/v1 Certificate as JSON.

    `issuerRef.kind` may be omitted: then it is the namespace's Issuer of that name, otherwise the
    ClusterIssuer. `secretName` defaults to the name."""

    name: str
    namespace: NotRequired[str]
    spec: dict[str, object]


class RenewBody(TypedDict):
    """The body of `certificate.renew`: issue this Certificate again now."""

    name: str
    namespace: NotRequired[str]


def new_request_id(now: float) -> str:
    """A new request id: a UUID of version 7 (RFC 9562 §5.7). Any process can read from it when the request
    was sent. `now`: seconds since the epoch."""
    bits = (int(now * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return str(uuid.UUID(int=bits & ~(0xF << 76 | 3 << 62) | 7 << 76 | 2 << 62))


def sent_at(request_id: str) -> float | None:
    """When the request with this id was sent (seconds since the epoch); None if the id is not a UUID of
    version 7."""
    try:
        found = uuid.UUID(request_id)
    except ValueError:
        return None
    return (found.int >> 80) / 1000 if found.version == 7 else None


def envelope(
    name: str, args: Sequence[object], *, queue: str, task_id: str, argsrepr: str, origin: str
) -> dict[str, object]:
    """The message in the form that the queue stores. A producer in another language must build the same."""
    body = json.dumps([list(args), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": name,
            "id": task_id,
            "root_id": task_id,
            "parent_id": None,
            "group": None,
            "retries": 0,
            "eta": None,
            "expires": None,
            "timelimit": [None, None],
            "argsrepr": argsrepr,
            "kwargsrepr": "{}",
            "origin": origin,
            "ignore_result": True,
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": str(uuid.uuid4()),
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
