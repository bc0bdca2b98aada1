"""The Python client for other services requests certificates and follows the requests. It needs no Celery; an
application that uses Celery can pass its app's `send_task`. The messages are in `certmill.contract`.

    handle = Client.connect("redis://…").request(name="web", dns_names=["web.example.com"], issuer="prod")
    handle.wait(timeout=300)

To send, a Redis user needs the queue `certmill.requests`; to follow, see docs/producers.md. Forbidden here:
Celery, the home, and an import of Redis before `connect`."""

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
