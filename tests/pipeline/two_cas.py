"""A Certificate with two candidate issuers, each with its own CA in memory."""

from __future__ import annotations

from certmill.acme import challenges
from certmill.acme.jws import AccountKey
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.errors import CertmillError
from certmill.model.certificate import IssuerRef
from certmill.model.issuer import Dns01Solver, SecretKeyRef, Solver
from certmill.testing.memory_ca import MemoryCA
from tests.pipeline.faulty_client import Faulty
from tests.support.builders import a_certificate, an_issuer

WEB = a_certificate(fallback_issuers=(IssuerRef(name="backup"),))
PROD = an_issuer()
BACKUP = an_issuer(
    kind="Issuer",
    namespace="default",
    name="backup",
    server="https://backup.test/dir",
    private_key=SecretKeyRef(name="backup-account", key="tls.key"),
    solvers=(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=SecretKeyRef(name="cf", key="token")))),),
)


class TwoCAs:
    """The clients of both CAs. `faults`: the errors of the next calls of the first one, by verb. `refused`:
    the error of each new account at the second one."""

    def __init__(self, mill) -> None:
        self._mill = mill
        self.first = mill.world.ca
        self.second = MemoryCA(clock=mill.world.clock, validates=self._validates)
        self.refused: CertmillError | None = None
        self.faults: dict[str, list[CertmillError]] = {}

    def client(self, issuer, key_pem, account):
        if issuer.ref == PROD.ref:
            return Faulty(self.first.client(issuer, key_pem, account), self.faults)
        if self.refused is not None:
            raise self.refused
        return self.second.client(issuer, key_pem, account)

    def _validates(self, type_, name, token):
        key = AccountKey.from_pem(self._mill.world.secret("default", "backup-account").data["tls.key"])
        value = challenges.dns01_value(token, key.thumbprint)
        return type_ == "dns-01" and value in self._mill.world.provider.values[f"_acme-challenge.{name}"]
