"""The DNS-01 providers of a process (runs.context.Providers), with the credentials from the issuers'
Secrets."""

from __future__ import annotations

import hashlib

from certmill.clock import Clock
from certmill.dns01.base import Provider
from certmill.dns01.cloudflare import CloudflareProvider
from certmill.dns01.rfc2136 import Rfc2136Provider
from certmill.issuers.credentials import secret_value
from certmill.model.issuer import Cloudflare, Dns01Solver, Issuer
from certmill.runs.context import Ports
from certmill.runtime.kept import Kept
from certmill.settings import Settings


class SolverProviders:
    """DNS-01 providers, cached by solver and credentials. A changed Secret gives a new provider."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._providers: Kept[Provider] = Kept()
        self.ports: Ports | None = None

    def provider(self, issuer: Issuer, solver: Dns01Solver) -> Provider:
        """Return the provider of a solver. Raises NotFound or SecretUnusable, which name the Secret."""
        credential = self._credential(issuer, solver)
        which = (solver.provider, hashlib.sha256(credential.encode()).digest())
        return self._providers.get(which, lambda: self._made(solver, credential))

    def _credential(self, issuer: Issuer, solver: Dns01Solver) -> str:
        assert self.ports is not None
        config = solver.provider
        if isinstance(config, Cloudflare):
            ref, purpose = config.api_token or config.api_key, "Cloudflare credential"
        else:
            ref, purpose = config.tsig_secret, "TSIG secret"
        return (
            secret_value(self.ports, issuer, ref, purpose).decode("utf-8", "replace").strip() if ref else ""
        )

    def _made(self, solver: Dns01Solver, credential: str) -> Provider:
        config = solver.provider
        if isinstance(config, Cloudflare):
            return CloudflareProvider(
                api_url=self._settings.cloudflare_api_url,
                token=credential if config.api_token else None,
                email=config.email,
                key=credential if config.api_key else None,
                clock=self._clock,
            )
        return Rfc2136Provider(config, tsig_secret=credential or None)
