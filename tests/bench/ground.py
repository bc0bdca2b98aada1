"""What every measurement stands on: one BIND and one Pebble for all, and for each an installation of certmill
with a Redis of its own.

certmill's processes are the ones that users run, with the settings they have by default; only addresses and
ports are ours."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import redis
import yaml

from certmill.client import Client, Handle
from certmill.model.manifests.parse import parse_documents
from certmill.runtime import Runtime
from certmill.state import keys
from compose.local import LocalCertmill
from compose.servers.bind import Bind
from compose.servers.pebble import Pebble
from compose.servers.ports import free_port
from compose.servers.redis import RedisServer
from tests.support.waiting import until

ZONE = "bench.test"
TSIG_KEY = "certmill"
TSIG_SECRET = base64.b64encode(b"a secret for the benchmark only, 32 b").decode()
CORES = len(os.sched_getaffinity(0))
ECDSA = {"algorithm": "ECDSA", "size": 256}
_START_SECONDS = 60.0


@dataclass(kw_only=True)
class Installation:
    """One certmill: its Redis, its processes, its home with the ClusterIssuer `bench` (DNS-01 by BIND;
    HTTP-01 outside the zone)."""

    certmill: LocalCertmill
    redis_server: RedisServer
    runtime: Runtime

    @property
    def redis(self) -> redis.Redis:
        return self.runtime.redis

    @property
    def client(self) -> Client:
        return self.certmill.client()

    def start(self, *, workers: int = CORES) -> None:
        """Start workers and one beat; returns when the workers work."""
        files = []
        for number in range(1, workers + 1):
            files.append(self.certmill.directory / f"worker{number}.ready")
            self.certmill.start_worker(f"worker{number}", process_ready_file=str(files[-1]))
        self.certmill.start(workers=0, beats=1, responder=False)
        until(
            lambda: all(file.exists() for file in files), what="the workers are ready", seconds=_START_SECONDS
        )

    def pids(self) -> list[int]:
        """Of the processes that were started."""
        return [process.pid for process in self.certmill.processes.values() if process.pid is not None]

    def request(
        self, name: str, *dns_names: str, issuer: str = "bench", client: Client | None = None
    ) -> Handle:
        """Ask for one as another service does: an ECDSA P-256 key, as the raw loop makes."""
        return (client or self.client).request(
            name=name, dns_names=dns_names or (f"{name}.{ZONE}",), issuer=issuer, private_key=ECDSA
        )

    def warm_up(self, count: int = 8 * CORES) -> None:
        """Issue some first: account, connections and imports are there then."""
        client = self.client
        for handle in [self.request(f"warm-{number}", client=client) for number in range(count)]:
            handle.wait(60)

    def idle(self) -> int:
        """How many certificates are idle: stored, or failed and waiting for their next attempt."""
        return int(self.redis.zcard(keys.RENEWALS))

    def apply(self, *manifests: dict[str, object]) -> None:
        """What `certmill apply` does."""
        documents, errors = parse_documents(yaml.safe_dump_all(manifests), source="benchmark")
        assert not errors, errors
        for document in documents:
            self.runtime.ports.home.apply(document.value, document.text)
        self.runtime.ports.snapshots.request_reread()


@dataclass(kw_only=True)
class Ground:
    """BIND and Pebble in `directory`."""

    directory: Path
    http01_port: int = field(default_factory=free_port)
    bind: Bind = field(init=False)
    pebble: Pebble = field(init=False)

    def __enter__(self) -> Self:
        self.bind = Bind(
            directory=self.directory / "bind", zones=(ZONE,), tsig={TSIG_KEY: ("hmac-sha256", TSIG_SECRET)}
        )
        self.bind.start()
        self.pebble = Pebble(
            directory=self.directory / "pebble", dns=self.bind.address, http_port=self.http01_port
        )
        self.pebble.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.pebble.stop()
        self.bind.stop()

    @contextmanager
    def installation(self, name: str, *, appendonly: bool = True, **settings: str) -> Iterator[Installation]:
        """A fresh certmill; its processes are stopped at the end."""
        directory = self.directory / name
        own = {
            "recursive_nameservers": self.bind.address,
            "authoritative_port": str(self.bind.port),
            "http01_port": str(self.http01_port),
            **settings,
        }
        with (
            RedisServer(directory=directory / "redis", appendonly=appendonly) as server,
            ExitStack() as stack,
        ):
            certmill = stack.enter_context(
                LocalCertmill(directory=directory, redis_url=server.url, settings=own)
            )
            installation = Installation(certmill=certmill, redis_server=server, runtime=certmill.open())
            stack.callback(installation.runtime.close)
            installation.apply(tsig_manifest(), self.issuer())
            yield installation

    def issuer(self, name: str = "bench", *, nameserver: str = "", **solver: object) -> dict[str, object]:
        """A ClusterIssuer's manifest: an RSA-2048 account at Pebble, DNS-01 by BIND in the zone, HTTP-01
        elsewhere."""
        rfc2136 = {
            "nameserver": nameserver or self.bind.address,
            "tsigKeyName": TSIG_KEY,
            "tsigAlgorithm": "HMACSHA256",
            "tsigSecretSecretRef": {"name": "tsig", "key": "secret"},
        }
        dns01 = {"dns01": {"rfc2136": rfc2136}, "selector": {"dnsZones": [ZONE]}}
        acme = {
            "server": self.pebble.directory_url,
            "caBundle": base64.b64encode(self.pebble.ca_bundle).decode(),
            "privateKeySecretRef": {"name": f"{name}-account"},
            "solvers": [solver] if solver else [{"http01": {"ingress": {}}}, dns01],
        }
        return {
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": name},
            "spec": {"acme": acme},
        }


def tsig_manifest() -> dict[str, object]:
    """The Secret that the issuers' solvers name."""
    metadata = {"name": "tsig", "namespace": "cert-manager"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"secret": TSIG_SECRET}}
