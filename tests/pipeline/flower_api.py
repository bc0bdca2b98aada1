"""Flower's HTTP API, for the tests of its data and of its picture."""

from __future__ import annotations

import base64
import json
import urllib.request

LAGGING = "127.0.0.2"


class FlowerApi:
    """Flower's HTTP API, logged in."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._login = "Basic " + base64.b64encode(b"certmill:correct-horse-battery-staple").decode()

    def get(self, path: str, *, login: bool = True, method: str = "GET") -> bytes:
        headers = {"Authorization": self._login} if login else {}
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, headers=headers, method=method), timeout=10
        ) as response:
            return bytes(response.read())

    def tasks(self, certificate: str) -> list[dict[str, str]]:
        """The tasks of a certificate, oldest first."""
        found = json.loads(self.get("/api/tasks?limit=10000"))
        mine = [task for task in found.values() if certificate in (task["args"] or "")]
        return sorted(mine, key=lambda task: float(task["received"] or 0))
