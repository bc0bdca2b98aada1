"""Makes `celery -A workers status` and `inspect ping` work without remote control: the heartbeats of the
workers show which are online.

Remote control stays off, because any client that may PUBLISH in Redis would control the workers. All other
commands of `celery inspect` and `celery control` therefore fail at once with this reason."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import celery.app.control
import click
from kombu.utils.objects import cached_property

_LISTEN_SECONDS = 2.5
"""Longer than the interval of a worker's heartbeats, two seconds."""

_OFF = (
    "remote control is off, because anyone who can publish in Redis could control workers; docs/flower.md "
    "lists other ways"
)

_Control: Any = celery.app.control.Control  # the stubs are incomplete
_Inspect: Any = celery.app.control.Inspect


class Inspect(_Inspect):  # type: ignore[misc]
    """Answers a ping from the heartbeats that it receives, and sends no request."""

    def _request(self, command: str, **_: Any) -> dict[str, dict[str, str]] | None:
        # Private, because `celery inspect ping` and `celery status` both call it, and no public method.
        if command != "ping":
            raise click.ClickException(_OFF)
        online = {
            name: {"ok": "pong"}
            for name in self._live_workers()
            if not self.destination or name in self.destination
        }
        for name, answer in sorted(online.items()):
            if self.callback:
                self.callback({name: answer})
        return online or None

    def _live_workers(self) -> set[str]:
        names: set[str] = set()

        def note(event: dict[str, Any]) -> None:
            names.add(str(event["hostname"]))

        handlers = {"worker-heartbeat": note, "worker-online": note}
        with self.app.connection_for_read() as connection:
            receiver = self.app.events.Receiver(connection, handlers=handlers)
            seconds = max(self.timeout or 0.0, _LISTEN_SECONDS)
            until = time.monotonic() + seconds
            with suppress(TimeoutError):  # no event arrives at all
                for _ in receiver.consume(limit=None, timeout=seconds, wakeup=False):
                    if time.monotonic() > until:
                        break
        return names


class Control(_Control):  # type: ignore[misc]
    """Celery's class, but it sends no command to a worker."""

    @cached_property
    def inspect(self) -> Any:
        return self.app.subclass_with_self(Inspect, reverse="control.inspect")

    def broadcast(self, command: str, *_: Any, **__: Any) -> None:
        """Raise ClickException, because no worker receives commands. Event receivers send the command
        `heartbeat`, which is ignored: a heartbeat arrives within two seconds anyway."""
        if command == "heartbeat":
            return
        raise click.ClickException(_OFF)
