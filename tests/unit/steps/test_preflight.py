"""What would keep a fall-back issuer from issuing a Certificate is known before it is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.errors import InvalidManifest
from certmill.model.certificate import IssuerRef
from certmill.model.issuer import Dns01Solver, SecretKeyRef, Selector, Solver
from certmill.model.secret import Secret
from certmill.model.status import Condition, IssuerStatus
from certmill.steps.preflight import fallback_faults
from certmill.testing.home import MemoryHome
from tests.support.builders import a_certificate, an_issuer

REF = "ClusterIssuer/backup"
WEB = a_certificate(fallback_issuers=(IssuerRef(kind="ClusterIssuer", name="backup"),))
BACKUP = an_issuer(name="backup", server="https://backup.test/dir")
CLOUDFLARE = Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=SecretKeyRef(name="cf", key="token"))))
TOKEN = Secret(namespace="cert-manager", name="cf", type="Opaque", data={"token": b"t"})


def ready(*, status=True, message=""):
    condition = Condition(type="Ready", status=status, reason="x", message=message, last_transition=0.0)
    return IssuerStatus(conditions=(condition,), uri="https://backup.test/account/1")


def a_home(backup=BACKUP, status=None, *, first=None):
    home = MemoryHome()
    home.apply(first or an_issuer(), "")
    if backup is not None:
        home.apply(backup, "")
        home.write_issuer_status(backup, status or ready())
    return home


def test_an_issuer_that_can_issue_has_no_fault():
    assert fallback_faults(a_home(), WEB) == ()
    assert fallback_faults(a_home(None), a_certificate()) == ()


@pytest.mark.parametrize(
    ("backup", "status", "fault"),
    [
        (None, None, "does not exist: apply it, or take it from the list"),
        (BACKUP, IssuerStatus(), "has no account yet: no worker has registered it"),
        (BACKUP, ready(status=False, message="EAB is missing"), "is not ready: EAB is missing"),
        (replace(BACKUP, solvers=()), None, "has no solver for web.example.test: add one to its spec"),
    ],
)
def test_a_fault_of_a_fall_back_issuer_is_named(backup, status, fault):
    assert fallback_faults(a_home(backup, status), WEB) == (f"the fall-back issuer {REF} {fault}",)


def test_a_missing_credential_of_a_solver_is_named():
    home = a_home(replace(BACKUP, solvers=(CLOUDFLARE,)))

    (fault,) = fallback_faults(home, WEB)
    assert "has a solver that cannot work: the Secret cert-manager/cf" in fault
    home.write_secret(TOKEN)
    assert fallback_faults(home, WEB) == ()


def test_each_name_needs_a_solver_of_the_right_type():
    http01 = BACKUP.solvers[0]
    elsewhere = replace(http01, selector=Selector(dns_zones=("other.test",)))
    names = replace(WEB, dns_names=("*.example.test", "web.example.test"), ip_addresses=("192.0.2.1",))

    def without_solver(*solvers):
        home = a_home(replace(BACKUP, solvers=solvers))
        home.write_secret(TOKEN)
        return [fault.split(" for ")[1].split(":")[0] for fault in fallback_faults(home, names)]

    assert without_solver(http01) == ["*.example.test"]
    assert without_solver(CLOUDFLARE) == ["192.0.2.1"]
    assert without_solver(http01, CLOUDFLARE) == []
    assert without_solver(elsewhere) == ["*.example.test", "web.example.test", "192.0.2.1"]


def test_an_issuer_that_is_its_own_fall_back_is_named():
    itself = replace(WEB, fallback_issuers=(WEB.issuer_ref,))

    assert fallback_faults(a_home(None), itself) == (
        "ClusterIssuer/prod is the issuer of the Certificate itself, so it is no fall-back issuer",
    )


def test_an_entry_with_an_error_is_named_with_the_object_that_has_it():
    annotations = {"certmill.io/fallback-issuers": "Vault/x"}
    why = "'Vault/x' is ignored: write Issuer/NAME, ClusterIssuer/NAME or NAME"
    own = a_certificate(annotations=annotations)
    of_issuer = a_home(None, first=an_issuer(annotations=annotations))

    assert fallback_faults(a_home(None), own) == (f"the annotation certmill.io/fallback-issuers: {why}",)
    assert fallback_faults(of_issuer, a_certificate()) == (
        f"the annotation certmill.io/fallback-issuers of ClusterIssuer/prod: {why}",
    )


def test_an_issuer_whose_manifest_is_not_valid_is_named():
    class Home(MemoryHome):
        def issuer(self, ref):
            if ref.name == "backup":
                raise InvalidManifest("must be https://", path="spec.acme.server")
            return super().issuer(ref)

    home = Home()
    home.apply(an_issuer(), "")

    assert fallback_faults(home, WEB) == (
        f"the fall-back issuer {REF} cannot be used: spec.acme.server: must be https://",
    )
