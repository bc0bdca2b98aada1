"""Everything that the workers' events say, as Flower would hear it: taken off Redis by a thread, and read
only when the run is over."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from types import TracebackType
from typing import Self

import redis

from certmill.contract import STEP_TASKS

_CHANNEL = "/*.celeryev/*"


class Events:
    """Listens while it is entered."""

    def __init__(self, url: str) -> None:
        self._pubsub = redis.Redis.from_url(url).pubsub(ignore_subscribe_messages=True)
        self._stop = threading.Event()
        self._heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._pubsub.psubscribe(_CHANNEL)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._pubsub.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            message = self._pubsub.get_message(timeout=0.2)
            if message is not None:
                self._heard.append(message["data"])

    def steps_seen(self) -> Counter[str]:
        """Certificate → how many of the run's steps were seen to succeed."""
        received: dict[str, tuple[str, str]] = {}
        succeeded = set()
        for event in self._events():
            if event.get("type") == "task-received" and event.get("name") in STEP_TASKS:
                received[str(event["uuid"])] = (str(event["args"]), str(event["name"]))
            elif event.get("type") == "task-succeeded":
                succeeded.add(str(event["uuid"]))
        return Counter(
            certificate for certificate, _ in {step for task, step in received.items() if task in succeeded}
        )

    def retries(self) -> int:
        """How often a step had to wait."""
        return sum(event.get("type") == "task-retried" for event in self._events())

    def _events(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for item in self._heard:
            body = json.loads(base64.b64decode(json.loads(item)["body"]))
            found += body if isinstance(body, list) else [body]
        return found
