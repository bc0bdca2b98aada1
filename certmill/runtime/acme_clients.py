"""The ACME clients of a process (runs.ports.Clients)."""

from __future__ import annotations

import hashlib
import threading

from certmill.acme.client import AcmeClient
from certmill.acme.directories import DirectoryCache
from certmill.acme.jws import AccountKey
from certmill.acme.nonces import NoncePools
from certmill.acme.request_rates import RequestRatesOfCas
from certmill.http.transport import Connections, TlsTrust
from certmill.model.issuer import Issuer
from certmill.runtime.object_cache import ObjectCache
from certmill.settings import Settings


class _OfThread(threading.local):
    """The clients of one thread."""

    def __init__(self) -> None:
        self.clients: ObjectCache[AcmeClient] = ObjectCache()


class AcmeClients:
    """ACME clients of this process: one for each thread and account. Nonces, request rates, directories and
    connections are shared."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.acme_timeout_seconds
        self._nonces = NoncePools()
        self._directories = DirectoryCache()
        self._rates = RequestRatesOfCas()
        self._connections = Connections()
        self._of_thread = _OfThread()

    def client(self, issuer: Issuer, key_pem: bytes, account_uri: str | None) -> AcmeClient:
        """Return this thread's client for the account."""
        which = (
            issuer.server,
            hashlib.sha256(key_pem).digest(),
            account_uri,
            issuer.ca_bundle,
            issuer.skip_tls_verify,
        )
        return self._of_thread.clients.get(which, lambda: self._made(issuer, key_pem, account_uri))

    def _made(self, issuer: Issuer, key_pem: bytes, account_uri: str | None) -> AcmeClient:
        return AcmeClient(
            server=issuer.server,
            key=AccountKey.from_pem(key_pem),
            account_uri=account_uri,
            trust=TlsTrust(ca_bundle=issuer.ca_bundle, skip_verify=issuer.skip_tls_verify),
            nonces=self._nonces.pool(issuer.server),
            directories=self._directories,
            rates=self._rates.of(issuer.server),
            connections=self._connections,
            timeout_seconds=self._timeout,
        )
