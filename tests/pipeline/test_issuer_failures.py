"""How an answer about an order affects its issuer, and which failures begin again when an issuer is ready."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.acme.resources import AccountStatus
from certmill.errors import AccountRefused, CAUnavailable, FailureClass, NameRefused, SolverMisconfigured
from certmill.issuers import failures as issuer_failures
from certmill.model.issuer import Solver
from certmill.runs.facts import Facts, Failure
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
GOOD = a_certificate(name="good", secret_name="good-tls", dns_names=("good.example.test",))
BLOCKED = a_certificate(name="blocked", secret_name="blocked-tls", dns_names=("blocked.example.test",))
REJECTED = a_certificate(name="rejected", secret_name="rejected-tls", dns_names=("rejected.example.test",))


def refusal(kind, message="no"):
    """A NameRefused of an ACME type."""
    error = NameRefused(message)
    error.acme_type = kind
    return error


class RefusingCA:
    """The environment's CA. `refused`: the error of newOrder by name; `of_account`: the error or the
    status of the account itself."""

    def __init__(self, mill, refused, of_account=None) -> None:
        self.refused, self.of_account = refused, of_account
        self.asked: list[tuple[str, str]] = []
        mill.wrap_clients(lambda client: _Client(self, client))

    def orders(self, certificate):
        """The number of orders requested for the Certificate."""
        return self.asked.count(("order", certificate.dns_names[0]))


class _Client:
    def __init__(self, ca, client) -> None:
        self._ca, self._client = ca, client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def new_account(self, **arguments):
        self._ca.asked.append(("register", ""))
        return self._client.new_account(**arguments)

    def new_order(self, identifiers, **arguments):
        name = identifiers[0].value
        self._ca.asked.append(("order", name))
        if name in self._ca.refused:
            raise self._ca.refused[name]
        return self._client.new_order(identifiers, **arguments)

    def account(self):
        self._ca.asked.append(("account", ""))
        found = self._ca.of_account
        if isinstance(found, Exception):
            raise found
        return replace(self._client.account(), status=found or AccountStatus.VALID)


def ready_of(mill):
    return mill.ports.home.issuer_status(an_issuer()).condition("Ready")


def play(mill, certificate):
    """Reconcile a Certificate as the watch does, and execute its run if there is one."""
    mill.apply(certificate)
    mill.reconciler.reconcile(certificate.id)
    if mill.record().step:
        mill.run()


def test_a_403_for_one_name_leaves_the_issuer_ready_and_every_back_off_holds(redis):
    """Certificates of one ClusterIssuer in many namespaces. Each reconciliation is one of the
    controller's, every 30 seconds."""
    mill = Mill(redis)
    ca = RefusingCA(
        mill,
        {
            "blocked.example.test": refusal("unauthorized"),
            "rejected.example.test": refusal("rejectedIdentifier"),
        },
    )
    for certificate in (BLOCKED, REJECTED):
        play(mill, certificate)
    for _ in range(8):
        mill.world.clock.advance(30)
        mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")
        for certificate in (BLOCKED, REJECTED):
            play(mill, certificate)
    play(mill, GOOD)

    assert ready_of(mill).status
    assert (ca.orders(BLOCKED), ca.orders(REJECTED)) == (1, 1)
    assert ca.asked.count(("register", "")) == 1
    assert ca.asked.count(("account", "")) == 1  # only the answer that may be about the account is checked
    assert mill.world.leaf(GOOD).dns_names == GOOD.dns_names


@pytest.mark.parametrize("said", [refusal("unauthorized"), refusal("rejectedIdentifier")])
def test_a_name_that_the_ca_refuses_has_the_back_off_of_names(redis, said):
    mill = Mill(redis)
    RefusingCA(mill, {"web.example.test": said})

    play(mill, WEB)

    assert mill.status().next_attempt - mill.world.clock.now() >= 12 * 60


def lost():
    error = AccountRefused("the account is deactivated")
    error.acme_type = "unauthorized"
    return error


@pytest.mark.parametrize("of_account", [AccountStatus.DEACTIVATED, AccountStatus.REVOKED, lost()])
def test_an_account_that_is_refused_itself_makes_the_issuer_not_ready(redis, of_account):
    """RFC 8555 §7.3.6: a deactivated account has `unauthorized` for each of its requests."""
    mill = Mill(redis)
    RefusingCA(mill, {"web.example.test": refusal("unauthorized")}, of_account)

    play(mill, WEB)

    assert not ready_of(mill).status
    assert "deactivated" in ready_of(mill).message or "revoked" in ready_of(mill).message


def method_not_allowed():
    error = AccountRefused("POST-as-GET of an account is not supported")
    error.acme_type = "malformed"
    return error


@pytest.mark.parametrize("of_account", [CAUnavailable("503"), method_not_allowed()])
def test_a_ca_that_cannot_check_the_account_has_not_refused_it(redis, of_account):
    mill = Mill(redis)
    RefusingCA(mill, {"web.example.test": refusal("unauthorized", "blocked at the CA")}, of_account)

    play(mill, WEB)

    assert ready_of(mill).status
    assert mill.failed == "blocked at the CA"


def test_an_account_refused_at_new_order_only_is_not_registered_every_30_seconds(redis):
    """userActionRequired: meanwhile registering succeeds, and if the issuer became ready again, everything
    would begin again."""
    mill = Mill(redis)
    terms = AccountRefused("agree to the new terms")
    terms.acme_type = "userActionRequired"
    ca = RefusingCA(mill, {"web.example.test": terms})
    play(mill, WEB)
    for _ in range(9):
        mill.world.clock.advance(30)
        mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")
        play(mill, WEB)

    assert not ready_of(mill).status
    assert ca.orders(WEB) == 1
    assert ca.asked.count(("register", "")) == 1


def failed(mill, certificate, error):
    """The Certificate's run has failed with this error."""
    mill.apply(certificate)
    mill.reconciler.reconcile(certificate.id)
    mill.wrap_clients(lambda client: _Failing(client, error))
    mill.run()
    assert not mill.record().step


class _Failing(_Client):
    def __init__(self, client, error) -> None:
        self._client, self._error = client, error

    def new_account(self, **arguments):
        return self._client.new_account(**arguments)

    def new_order(self, identifiers, **arguments):
        raise self._error


def test_an_issuer_that_is_ready_again_begins_only_what_failed_by_its_fault(redis):
    mill = Mill(redis)
    failed(mill, REJECTED, refusal("rejectedIdentifier"))
    failed(mill, WEB, SolverMisconfigured("the provider refuses our credentials"))
    failed(mill, BLOCKED, AccountRefused("agree to the new terms"))
    mill.world.clock.advance(3601)  # for this time nothing checks whether the account is accepted again
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    steps = {each.name: mill.ports.records.read(each.id).step for each in (REJECTED, WEB, BLOCKED)}
    assert steps == {"rejected": "", "web": "register_account", "blocked": "register_account"}


def test_a_name_begins_again_when_the_solvers_of_its_issuer_change(redis):
    mill = Mill(redis)
    failed(mill, WEB, refusal("dns"))
    issuers = mill.issuers
    mill.ports.home.apply(
        an_issuer(email="new@example.test", annotations={"argocd/sync": "7"}), "changed: 1\n"
    )
    issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")
    assert not mill.record().step

    http01 = an_issuer().solvers[0].http01
    mill.ports.home.apply(
        an_issuer(solvers=(Solver(http01=replace(http01, ingress_class_name="nginx")),)), "changed: 2\n"
    )
    issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    assert mill.record().step == "register_account"


def test_what_an_older_release_wrote_of_a_failure_is_read():
    text = '{"failure":{"failure_class":"name-is-wrong","message":"no","next_attempt":5.0}}'

    assert not Facts.from_json(text).failure.by_issuer
    assert Facts.from_json(text).failure.failure_class is FailureClass.NAME_IS_WRONG


def test_a_failure_of_an_unknown_issuer_waits_for_it_to_come(redis):
    mill = Mill(redis)
    mill.ports.home.delete("ClusterIssuer", "", "prod")
    failure = Failure(failure_class=FailureClass.CONFIGURATION, message="no", next_attempt=5.0)

    issuer_failures.note(mill.ports, WEB.id, failure, issuer=None)

    assert issuer_failures.to_begin(mill.ports, an_issuer()) == [WEB.id]
