"""The Python client for other services: it requests certificates and follows the requests. It does not need
Celery; an application that uses Celery can pass its app's `send_task`.

    handle = Client.connect("redis://…").request(name="web", dns_names=["web.example.com"], issuer="prod")
    handle.wait(timeout=300)

A request is one Celery message (protocol 2, JSON) on the queue `certmill.requests`; `certmill.contract`
documents it for other languages. A Redis user that may only enqueue can send requests. To follow them, it
must also be allowed to read `certmill:certificate:*` and `certmill:request:*` (docs/producers.md)."""

from __future__ import annotations

from certmill.client.client import Client, SendTask
from certmill.client.handle import (
    ASK_AGAIN_SECONDS,
    UNKNOWN_SECONDS,
    Handle,
    IssuanceFailed,
    RequestRejected,
    RequestUnknown,
    Status,
    StillWaiting,
)

__all__ = [
    "ASK_AGAIN_SECONDS",
    "UNKNOWN_SECONDS",
    "Client",
    "Handle",
    "IssuanceFailed",
    "RequestRejected",
    "RequestUnknown",
    "SendTask",
    "Status",
    "StillWaiting",
]
