"""The DNS-01 providers of a process (runs.ports.Providers), with the credentials from the issuers'
Secrets."""

from __future__ import annotations

import hashlib

from certmill.clock import Clock
from certmill.dns01.base import Provider, ProviderConfig
from certmill.issuers.credentials import secret_value
from certmill.model.issuer import Dns01Solver, Issuer, NeededSecret
from certmill.model.manifests.issuer.dns01 import providers
from certmill.runs.ports import Ports
from certmill.runtime.object_cache import ObjectCache
from certmill.settings import Settings


class SolverProviders:
    """DNS-01 providers, cached by solver and credentials. A changed Secret gives a new provider. Raises
    ImportError, which names the provider, if an installed one cannot be loaded or built."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        for field, schema in providers().items():  # one that cannot be used ends the process at its start
            if not issubclass(schema.config_type, ProviderConfig):
                raise ImportError(
                    f"the DNS-01 provider {field} ({schema.__module__}:{schema.__qualname__}) cannot be "
                    f"used: its config_type must be a subclass of {ProviderConfig.__module__}.ProviderConfig"
                )
        self._settings = settings
        self._clock = clock
        self._providers: ObjectCache[Provider] = ObjectCache()
        self.ports: Ports | None = None

    def provider(self, issuer: Issuer, solver: Dns01Solver) -> Provider:
        """Return the provider of a solver. Raises NotFound or SecretUnusable, which name the Secret."""
        config = solver.provider
        assert isinstance(config, ProviderConfig)  # checked when the providers are loaded
        credentials = {secret.ref: self._credential(issuer, secret) for secret in config.secrets}
        digests = tuple(hashlib.sha256(value.encode()).digest() for value in credentials.values())
        return self._providers.get(
            (config, digests), lambda: config.build(credentials, settings=self._settings, clock=self._clock)
        )

    def _credential(self, issuer: Issuer, secret: NeededSecret) -> str:
        assert self.ports is not None
        value = secret_value(self.ports, issuer, secret.ref, secret.purpose)
        return value.decode("utf-8", "replace").strip()
