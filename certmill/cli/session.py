"""The resources that the commands use: settings, home, Redis, the client for requests. Each is opened at its
first use.

A command that does not need Redis does not import the Redis client, because that import takes longer than
everything else that `get` does.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from certmill.cli.exit_codes import print_message
from certmill.clock import Clock, SystemClock
from certmill.errors import Forbidden, StateUnavailable
from certmill.home import installation
from certmill.home.base import Home
from certmill.home.opened import open_home
from certmill.model.certificate import Certificate
from certmill.model.names import CertificateId
from certmill.settings import Settings, load, unknown_variables

if TYPE_CHECKING:
    from certmill.budgets.buckets import Bucket
    from certmill.client import Client
    from certmill.runs.ports import Ports
    from certmill.state.opened import State
    from certmill.state.record import Record
    from certmill.views.observations import Observations


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options before the command name. None: use the setting."""

    home: Path | None = None
    redis_url: str | None = None


class Session:
    """The resources of one call of the command."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.is_redis_away = False
        """Whether a read of Redis has failed in this call; `record` then reads no more."""

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings; options override them. Raises InvalidManifest, which names the variable."""
        given = {"home": self._options.home, "redis_url": self._options.redis_url}
        for message in unknown_variables(os.environ):
            print_message(message, prefix="warning")
        return load(**{name: value for name, value in given.items() if value is not None})

    @functools.cached_property
    def clock(self) -> Clock:
        return SystemClock()

    @functools.cached_property
    def home(self) -> Home:
        """The home. Raises HomeUnavailable."""
        return open_home(self.settings, self.clock)

    @functools.cached_property
    def state(self) -> State:
        """The state in Redis. Raises InvalidManifest if the URL is not valid."""
        from certmill.state.opened import open_state

        return open_state(self.settings.redis_url.get_secret_value(), ca_file=self.settings.redis_ca_file)

    @functools.cached_property
    def fleet_clock(self) -> Clock:
        """The clock of Redis, by which workers act."""
        from certmill.state.server.fleet_clock import FleetClock

        return FleetClock(self.state.client)

    @functools.cached_property
    def client(self) -> Client:
        """The client that puts requests on the queue. Raises OtherInstallation if Redis belongs to another
        home."""
        from certmill.client import Client

        self._require_same_installation()
        return Client(self.state.send, state=self.state.client)

    @functools.cached_property
    def observations(self) -> Observations:
        """A reader of what the home and Redis contain about certificates."""
        from certmill.views.observations import Observations

        jitter = self.settings.renewal_jitter_seconds
        return Observations(self.home, self.record, self.clock, renewal_jitter=jitter)

    @contextmanager
    def ports(self) -> Iterator[Ports]:
        """The ports of the engine, as a worker has them, for a command that sends requests to a CA. The log
        goes to stderr. Raises InvalidManifest, HomeUnavailable."""
        from certmill.observe import log
        from certmill.runtime import Runtime

        log.configure(self.settings.log_format, self.settings.log_level, "certmill")
        runtime = Runtime.open(self.settings)
        try:
            yield runtime.ports
        finally:
            runtime.close()

    def _require_same_installation(self) -> None:
        """Raise OtherInstallation if the ids of the home and of Redis differ. There is no check if one of
        them is missing, because a machine that only requests certificates has no home. Creates no id."""
        from certmill.state.installation import require_same

        file = self.settings.home / installation.FILE
        if self.is_in_cluster or not file.is_file():
            return
        with suppress(StateUnavailable):
            require_same(installation.of_directory(self.settings.home), self.state.installation.read())

    def now(self) -> float:
        """The current time, in seconds since the epoch."""
        return self.clock.now()

    def certificates(self, namespace: str) -> Iterator[Certificate]:
        """Yield all Certificates that the user may read: those of all namespaces, or of this one."""
        try:
            yield from self.home.certificates()
        except Forbidden:
            yield from self.home.certificates(namespace)

    def request_reread(self) -> None:
        """Request an immediate re-read of a home that is not watched. Without Redis the change is not lost:
        the next regular re-read finds it."""
        if self.home.watched:
            return
        try:
            self.state.snapshots.request_reread()
        except StateUnavailable as error:
            print_message(
                f"{error}; the next re-read of the home acts on this (30 s after Redis answers, at most)",
                prefix="warning",
            )

    def record(self, certificate: CertificateId) -> Record | None:
        """The record of a certificate in flight; None if there is none. If Redis cannot be reached, returns
        None and prints one note per session."""
        if self.is_redis_away:
            return None
        try:
            return self.state.records.read(certificate)
        except StateUnavailable as error:
            self.is_redis_away = True
            print_message(f"{error}; what is in flight is not shown", prefix="note")
            return None

    def tokens_left(self, buckets: Sequence[Bucket]) -> Mapping[str, int]:
        """The tokens of these buckets, by id. Empty, with one note per session, if Redis cannot be
        reached."""
        if self.is_redis_away:
            return {}
        try:
            return self.state.buckets.left(buckets, now=self.now())
        except StateUnavailable as error:
            self.is_redis_away = True
            print_message(f"{error}; what is left of rate limits is not shown", prefix="note")
            return {}

    @property
    def is_in_cluster(self) -> bool:
        """Whether the home is the Kubernetes API."""
        return self.settings.home_kind == "kubernetes"

    def secret_directory(self, namespace: str, name: str) -> Path | None:
        """The directory in which a directory home stores a Secret; None in a cluster."""
        return None if self.is_in_cluster else self.settings.home / "secrets" / namespace / name
