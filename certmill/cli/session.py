"""What the commands work with, each made when it is first asked for: settings, the runtime, the client."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certmill.cli.exits import complain
from certmill.client import Client
from certmill.errors import StateUnavailable
from certmill.home import installation
from certmill.home.base import Home
from certmill.model.names import CertificateId
from certmill.pipeline.installation import require_same
from certmill.runtime import Runtime
from certmill.settings import Settings, load, unknown_variables
from certmill.state.records import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options that stand before the command; None: as the settings have it."""

    home: Path | None = None
    redis_url: str | None = None


class Session:
    """One call of the command."""

    def __init__(self, options: Options) -> None:
        self._options = options

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings, with the options over them. Raises InvalidManifest naming the variable."""
        given = {"home": self._options.home, "redis_url": self._options.redis_url}
        for message in unknown_variables(os.environ):
            complain(message, prefix="warning")
        return load(**{name: value for name, value in given.items() if value is not None})

    @functools.cached_property
    def runtime(self) -> Runtime:
        """The engine's parts. Raises HomeUnavailable."""
        return Runtime.open(self.settings)

    @functools.cached_property
    def client(self) -> Client:
        """What puts requests on the queue. Raises InvalidManifest for a URL that is none, OtherInstallation where the Redis that it
        leads to is of another home than ours."""
        settings = self.settings
        self._require_same_installation()
        return Client.connect(settings.redis_url.get_secret_value(), ca_file=settings.redis_ca_file)

    def _require_same_installation(self) -> None:
        """Only where both ids are there: a machine that only asks for certificates has no home. None is made."""
        file = self.settings.home / installation.FILE
        if self.is_in_cluster or not file.is_file():
            return
        with suppress(StateUnavailable):
            require_same(installation.of_directory(self.settings.home), self.runtime.installation_in_redis())

    @property
    def home(self) -> Home:
        return self.runtime.ports.home

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.runtime.ports.clock.now()

    def ask_reread(self) -> None:
        """Have a home that nobody watches re-read at once; without Redis that is not lost, only later."""
        if self.home.watched:
            return
        try:
            self.runtime.ports.sightings.ask_reread()
        except StateUnavailable as error:
            complain(f"{error}; the next re-read of the home acts on this (within 30 s of Redis being back)", prefix="warning")

    def record(self, certificate: CertificateId) -> Record | None:
        """What is in flight for a certificate; without Redis a note says that it is not known."""
        try:
            return self.runtime.ports.records.read(certificate)
        except StateUnavailable as error:
            complain(f"{error}; what is in flight is not shown", prefix="note")
            return None

    @property
    def is_in_cluster(self) -> bool:
        """Whether the home is the API server's."""
        return self.settings.home_kind == "kubernetes"

    def secret_directory(self, namespace: str, name: str) -> Path | None:
        """Where a directory home keeps a Secret; None in a cluster."""
        return None if self.is_in_cluster else self.settings.home / "secrets" / namespace / name
