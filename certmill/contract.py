"""The wire, in one file: task names, queues, and the bodies of the two messages that other services may send.

A producer in any language puts a Celery message (protocol 2, JSON) for `certificate.request` or
`certificate.renew` on the queue `certmill.requests`, with one positional argument, the body below. Everything
else on the wire is certmill talking to itself: a step carries the certificate's id and nothing more."""

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
SWEEP_TASK = "tick.sweep"
REREAD_TASK = "tick.reread"
TICK_TASKS = (WAKE_TASK, RENEWALS_TASK, SWEEP_TASK, REREAD_TASK)

RECONCILE_TASKS = {
    kind: f"reconcile.{kind.lower()}"
    for kind in ("Certificate", "Issuer", "ClusterIssuer", "Ingress", "VirtualServer")
}
"""By kind: look at this object of the cluster again. Arguments: namespace/name, of a ClusterIssuer its name;
of an Ingress or VirtualServer at will the names of Certificates that it may want no more, at most
MAX_LEFT."""

MAX_LEFT = 100

TASKS_OF_QUEUE: dict[str, frozenset[str]] = {
    REQUESTS_QUEUE: frozenset({REQUEST_TASK, RENEW_TASK}),
    STEPS_QUEUE: frozenset(STEP_TASKS),
    CHANGES_QUEUE: frozenset(RECONCILE_TASKS.values()),
    TICKS_QUEUE: frozenset(TICK_TASKS),
}
"""What each queue may carry; the guard (workers.broker.guard) refuses anything else."""

MAX_MESSAGE_BYTES = 65_536
"""Of a whole message, as the guard takes it. A body may have half of that (the client refuses more): base64
and headers are added to it."""


def shown_run(trigger: Trigger, run: int = 0) -> str:
    """The header `kwargsrepr` of a task: Flower shows it and finds it, no task gets it. In Celery's own form,
    so that `kwargs:trigger=renewal` and `kwargs:run=17` are searches. `run` is the number of the
    certificate's run."""
    return str({"trigger": trigger.value} | ({"run": run} if run else {}))


class RequestBody(TypedDict):
    """`certificate.request`: `spec` is a cert-manager.io/v1 Certificate's spec as JSON. `issuerRef.kind` may
    be left out (the namespace's Issuer, else the ClusterIssuer, of that name); `secretName` defaults to the
    name."""

    name: str
    namespace: NotRequired[str]
    spec: dict[str, object]


class RenewBody(TypedDict):
    """`certificate.renew`: issue this Certificate again now."""

    name: str
    namespace: NotRequired[str]


def new_request_id(now: float) -> str:
    """A UUID of version 7 (RFC 9562 §5.7): it tells when the request was sent, also to another process."""
    bits = (int(now * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return str(uuid.UUID(int=bits & ~(0xF << 76 | 3 << 62) | 7 << 76 | 2 << 62))


def sent_at(request_id: str) -> float | None:
    """When a request with such an id was sent; None if its id does not tell."""
    try:
        found = uuid.UUID(request_id)
    except ValueError:
        return None
    return (found.int >> 80) / 1000 if found.version == 7 else None


def envelope(
    name: str, args: Sequence[object], *, queue: str, task_id: str, argsrepr: str, origin: str
) -> dict[str, object]:
    """The message as it stands in the queue: what a producer in another language has to build."""
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
