"""Runs etcd, the store of an API server. It is built once and runs on free loopback ports without fsync. Its
data survives a kill."""

from __future__ import annotations

import base64
import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from compose.servers.build import go_build
from compose.servers.ports import free_ports, start_on_free_ports
from compose.servers.process import Server, ServerProcess

_SOURCE = Path(__file__).resolve().parent / "go" / "etcd"
_TIMEOUT_SECONDS = 30.0


def find_etcd() -> Path:
    """The path of the program; builds it if necessary. Raises MissingServer."""
    return go_build(_SOURCE)


@dataclass(kw_only=True)
class Etcd(Server):
    """A running etcd with its data in `directory`. For test data only: every user of this machine can read
    and write it."""

    directory: Path
    port: int = field(default=0, init=False)
    peer_port: int = field(default=0, init=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("etcd", log=self.directory / "etcd.log")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it. A second start uses the same ports and data. Raises MissingServer, ServerFailed."""
        program, fixed = find_etcd(), self.port != 0

        def start() -> None:
            if not fixed:
                self.port, self.peer_port = free_ports(2)
            self._process.start([program, *self._options()], answers=self._answers)

        start_on_free_ports(start, fixed=fixed)

    def compact(self) -> int:
        """Remove every revision except the newest. Returns the number of the newest revision.

        A watch from an older revision gets 410 Gone after the API server is restarted. Until then the API
        server answers from its watch cache. Raises urllib.error.URLError.
        """
        anything = base64.b64encode(b"\0").decode()
        answer = self._post(
            "/v3/kv/range", {"key": anything, "range_end": anything, "limit": 1, "keys_only": True}
        )
        revision = int(cast("dict[str, str]", answer["header"])["revision"])
        self._post("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    def _post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        request = urllib.request.Request(f"{self.url}{path}", data=json.dumps(body).encode(), method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            return cast("dict[str, object]", json.load(response))

    def _options(self) -> list[str]:
        peer = f"http://127.0.0.1:{self.peer_port}"
        return [
            f"--data-dir={self.directory / 'etcd-data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",  # safe when a process is killed; only a crash of the machine loses data
            "--log-level=warn",
        ]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                return cast("int", response.status) == 200
        except OSError:
            return False
