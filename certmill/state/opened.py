"""Opens the parts of Redis that the `certmill` command uses, over one connection pool, without the other
parts of a process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import redis

from certmill.state.buckets import Buckets
from certmill.state.installation import InstallationRecord
from certmill.state.planned_renewals import PlannedRenewals
from certmill.state.records import Records
from certmill.state.requests import Requests
from certmill.state.sender import RedisSender
from certmill.state.server.connection import connect
from certmill.state.snapshots import Snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The parts, which share one client."""

    client: redis.Redis
    records: Records
    buckets: Buckets
    requests: Requests
    planned_renewals: PlannedRenewals
    snapshots: Snapshots
    installation: InstallationRecord
    send: RedisSender


def open_state(url: str, *, ca_file: Path | None = None, max_connections: int = 8) -> State:
    """Build the parts. Nothing is sent yet. Raises InvalidManifest if `url` is not the URL of a Redis."""
    client = connect(url, ca_file=ca_file, max_connections=max_connections)
    return State(
        client=client,
        records=Records(client),
        buckets=Buckets(client),
        requests=Requests(client),
        planned_renewals=PlannedRenewals(client),
        snapshots=Snapshots(client),
        installation=InstallationRecord(client),
        send=RedisSender(client),
    )
