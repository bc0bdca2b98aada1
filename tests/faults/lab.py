"""The pipeline's lab with name servers and CAs that can fail, and a Redis that can be killed and frozen."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from certmill.state import keys
from certmill.testing.faulty_ca import FaultyCA
from compose.servers.redis import RedisServer
from tests.faults.nameserver import MoodyNameserver
from tests.support.lab import Lab


@dataclass(kw_only=True)
class FaultyLab(Lab):
    """`nameserver` is in front of BIND for all processes except Pebble."""

    redis: RedisServer
    nameserver: MoodyNameserver

    def __enter__(self) -> Self:
        self.settings = {
            "recursive_nameservers": self.nameserver.address,
            "authoritative_port": str(self.nameserver.port),
            "acme_timeout_seconds": "3",
            "step_lease_seconds": "6",
            "step_grace_seconds": "1",
        } | dict(self.settings)
        super().__enter__()
        self.nameserver.forward_to = self.bind.address
        return self

    def apply_issuer_behind(self, ca: FaultyCA, name: str) -> None:
        """An issuer that reaches Pebble through `ca`."""
        self.apply_issuer(name, server=ca.directory_url, caBundle=base64.b64encode(ca.ca_bundle).decode())

    def pids(self) -> dict[str, int | None]:
        """The running process of each worker and beat. A process that ended is None."""
        return {
            name: process.pid if process.is_running else None
            for name, process in self.certmill.processes.items()
        }

    def assert_nothing_is_left_of(self, names: Iterable[str]) -> None:
        """Assert that there is no TXT value at these names, and no entry of them in the journal."""
        wanted = list(names)
        assert {name: self.bind.txt(f"_acme-challenge.{name}") for name in wanted} == {
            name: set() for name in wanted
        }
        assert [
            field
            for field in self.runtime.redis.hkeys(keys.JOURNAL)
            if any(f".{name} " in field for name in wanted)
        ] == []
