"""Issuers whose CA or Secrets fail, re-reads that are cut short, and a sweep that meets challenges that it
cannot remove."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.errors import (
    AccountRefused,
    Busy,
    CAUnavailable,
    ProviderUnavailable,
    RateLimited,
    StateUnavailable,
)
from certmill.issuers import account
from certmill.issuers import failures as issuer_failures
from certmill.issuers.credentials import missing_solver_secrets
from certmill.model.issuer import Dns01Solver, ExternalAccountBinding, SecretKeyRef, Selector, Solver
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.names import CertificateId
from certmill.model.secret import OPAQUE_TYPE, Secret
from certmill.model.trigger import AS_STORED
from certmill.state import keys
from certmill.state.journal import Presented
from certmill.upkeep.sweep import ORPHAN_SECONDS, SWEEP_AFTER_SECONDS, SWEEP_LIMIT, SWEEP_SECONDS
from tests.support.builders import DAY, NOW, a_certificate, a_pair, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
KEY = SecretKeyRef(name="cf", key="token")
DNS01 = an_issuer(solvers=(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=KEY))),))


class TroubledCA:
    """The environment's CA. `trouble(issuer)` is called in each newAccount, and may raise or take time.
    `asked`: the issuers of the calls; `updated`: the new e-mail addresses."""

    def __init__(self, mill, trouble) -> None:
        self.asked: list[str] = []
        self.updated: list[str] = []
        self.trouble = trouble
        self._ca = mill.world.ca

    def client(self, issuer, key_pem, account_uri):
        troubled, inner = self, self._ca.client(issuer, key_pem, account_uri)

        class Client:
            def __getattr__(self, name):
                return getattr(inner, name)

            def new_account(self, **arguments):
                troubled.asked.append(issuer.name)
                troubled.trouble(issuer)
                return inner.new_account(**arguments)

            def update_account(self, *, email):
                troubled.updated.append(email)
                return inner.update_account(email=email)

        return Client()


def raising(error):
    """Returns a trouble that raises this error."""

    def trouble(issuer):
        raise error

    return trouble


def troubled(redis, trouble, **mill):
    """An environment with this CA, and full jitter."""
    made = Mill(redis, **mill)
    made.ca = TroubledCA(made, trouble)
    made.use(clients=made.ca, jitter=lambda: 0.99)
    return made


def test_an_issuer_with_hundreds_of_secrets_costs_few_reads_and_reports_a_few(redis):
    refs = [SecretKeyRef(name=f"cf-{number}", key="token") for number in range(300)]
    issuer = an_issuer(
        solvers=tuple(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=ref))) for ref in refs)
    )
    mill, read = Mill(redis, issuer=issuer), []
    secret = mill.ports.home.secret
    mill.ports.home.secret = lambda namespace, name: read.append(name) or secret(namespace, name)

    missing = missing_solver_secrets(mill.ports.home, issuer)

    assert read == [ref.name for ref in refs[:10]]
    assert missing.count("is not there; create it") == 10
    assert missing.endswith("; there may be more")


def test_a_secret_with_the_credentials_of_many_solvers_is_read_once(redis):
    refs = [SecretKeyRef(name="cf", key=f"token-{number}") for number in range(50)]
    issuer = an_issuer(
        solvers=tuple(Solver(dns01=Dns01Solver(provider=Cloudflare(api_token=ref))) for ref in refs)
    )
    mill, read = Mill(redis, issuer=issuer), []
    mill.ports.home.write_secret(
        Secret(namespace="cert-manager", name="cf", type=OPAQUE_TYPE, data={ref.key: b"x" for ref in refs})
    )
    secret = mill.ports.home.secret
    mill.ports.home.secret = lambda namespace, name: read.append(name) or secret(namespace, name)

    assert missing_solver_secrets(mill.ports.home, issuer) == ""
    assert read == ["cf"]


def ready_of(mill, issuer=None):
    return mill.ports.home.issuer_status(issuer or an_issuer()).condition("Ready")


def an_entry(number=0, **fields):
    """The challenges that a crash has left."""
    entry = Presented(
        certificate=CertificateId(f"default/gone{number}"), issuer_kind="ClusterIssuer",
        issuer_namespace="", issuer_name="prod",
        identifier="gone.example.test", record_name=f"_acme-challenge.gone{number}.example.test",
        zone="example.test", value=f"v{number}",
    )  # fmt: skip
    return replace(entry, **fields)


def test_a_new_certificate_does_not_wait_for_hanging_cas(redis):
    begun = []
    mill = troubled(redis, lambda _: None)

    def hang(_):
        begun.append(mill.has_record())
        mill.world.clock.advance(30)
        raise CAUnavailable("ca.test did not answer in time")

    mill.ca.trouble = hang
    mill.ticks.reread("tick")

    assert begun == [True]


def test_a_reread_with_many_hanging_cas_ends_and_the_next_tries_the_others(redis):
    mill = troubled(redis, lambda _: None)

    def hang(_):
        mill.world.clock.advance(30)
        raise CAUnavailable("ca.test did not answer in time", retry_after=3600)

    mill.ca.trouble = hang
    for name in ("a", "b", "c"):
        mill.ports.home.apply(
            an_issuer(name=name, private_key=SecretKeyRef(name=name, key="tls.key")), f"name: {name}\n"
        )

    found = [mill.ticks.reread(f"tick {number}") for number in range(6)]

    assert sorted(mill.ca.asked) == ["a", "b", "c", "prod"]
    assert [each.complete for each in found] == [False, False, False, True, True, True]


def test_retry_after_is_kept_by_the_rereads(redis):
    mill = troubled(redis, raising(RateLimited("too many registrations", retry_after=3600)))

    for number in range(119):
        mill.ticks.reread(f"tick {number}")
        mill.world.clock.advance(30)

    assert len(mill.ca.asked) == 1
    mill.world.clock.advance(600)
    mill.ticks.reread("after")
    assert len(mill.ca.asked) == 2


def test_a_ca_that_is_away_is_asked_less_and_less_often(redis):
    mill = troubled(redis, raising(CAUnavailable("503")))

    for number in range(120):
        mill.ticks.reread(f"tick {number}")
        mill.world.clock.advance(30)

    assert 8 <= len(mill.ca.asked) <= 25


def test_many_certificates_of_a_dead_ca_ask_once(redis):
    mill = troubled(redis, raising(CAUnavailable("503 of ca.test")))
    for number in range(20):
        certificate = a_certificate(
            name=f"web{number}", secret_name=f"web{number}-tls", dns_names=(f"web{number}.example.test",)
        )
        mill.apply(certificate)
        mill.reconciler.reconcile(certificate.id)
        mill.run()

    assert mill.ca.asked == ["prod"]
    with pytest.raises(Busy, match=r"503 of ca\.test") as busy:
        account.register(mill.ports, an_issuer(), owner="someone")
    assert 0 < busy.value.retry_after <= 2


def test_a_changed_issuer_does_not_wait_for_its_former_back_off(redis):
    mill = troubled(redis, raising(RateLimited("too many", retry_after=3600)))
    mill.ticks.reread("one")
    mill.ca.trouble = lambda _: None

    changed = an_issuer(server="https://other.test/dir")
    mill.ports.home.apply(changed, "changed: true\n")
    mill.ticks.reread("two")

    assert ready_of(mill).status
    assert mill.ports.issuer_records.postponed(changed.ref) is None


def test_a_changed_secret_of_an_issuer_ends_its_back_off_too(redis):
    ref = SecretKeyRef(name="eab", key="hmac")
    issuer = an_issuer(external_account_binding=ExternalAccountBinding(key_id="kid", key_secret_ref=ref))
    mill = troubled(redis, raising(RateLimited("too many", retry_after=3600)), issuer=issuer)
    eab = Secret(
        namespace="cert-manager", name="eab", type=OPAQUE_TYPE, data={"hmac": b"c2VjcmV0LW9uZS1zZWNyZXQtb25l"}
    )
    mill.ports.home.write_secret(eab)
    mill.ticks.reread("one")
    mill.ca.trouble = lambda _: None
    mill.ports.home.write_secret(replace(eab, data={"hmac": b"c2VjcmV0LXR3by1zZWNyZXQtdHdv"}))

    mill.ticks.reread("two")

    assert ready_of(mill, issuer).status


@pytest.mark.parametrize(
    "error", [CAUnavailable("503 of ca.test"), RateLimited("too many"), AccountRefused("no")]
)
def test_why_there_is_no_account_is_in_the_issuers_status(redis, error):
    mill = troubled(redis, raising(error))
    mill.ticks.reread("tick")

    assert (ready_of(mill).status, ready_of(mill).reason, ready_of(mill).message) == (
        False,
        "ErrRegisterACMEAccount",
        str(error),
    )


class Heard:
    """Events, as (reason, message) of issuers."""

    def __init__(self) -> None:
        self.of_issuers: list[tuple[str, str]] = []

    def record_event(self, certificate, reason, message, *, warning=False):
        """Not needed here."""

    def record_issuer_event(self, issuer, reason, message, *, warning=False):
        assert warning
        self.of_issuers.append((reason, message))


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (CAUnavailable("503 of ca.test"), ("ErrInitIssuer", "Error initializing issuer: 503 of ca.test")),
        (AccountRefused("unknown key id"), ("ErrRegisterACMEAccount", "unknown key id")),
    ],
)
def test_why_there_is_no_account_is_an_event_of_the_issuer_too(redis, error, event):
    mill = troubled(redis, raising(error))
    heard = Heard()
    mill.use(events=heard)

    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="a")

    assert heard.of_issuers == [event]


def test_a_missing_external_account_key_is_in_the_issuers_status(redis):
    binding = ExternalAccountBinding(key_id="kid", key_secret_ref=SecretKeyRef(name="eab", key="hmac"))
    mill = Mill(redis, issuer=an_issuer(external_account_binding=binding))
    found = mill.ticks.reread("tick")

    assert (ready_of(mill).status, ready_of(mill).reason) == (False, "ErrRegisterACMEAccount")
    assert "cert-manager/eab" in ready_of(mill).message
    assert found.failed == (f"ClusterIssuer/prod: {ready_of(mill).message}",)


def test_a_spoiled_account_key_is_in_the_issuers_status_under_its_own_reason(redis):
    mill = Mill(redis)
    mill.issue()
    spoiled = Secret(
        namespace="cert-manager", name="prod-account", type=OPAQUE_TYPE, data={"tls.key": b"garbage"}
    )
    mill.ports.home.write_secret(spoiled)

    mill.ticks.reread("tick")

    assert (ready_of(mill).status, ready_of(mill).reason) == (False, "ErrVerifyACMEAccount")
    assert "prod-account" in ready_of(mill).message
    assert "garbage" not in ready_of(mill).message


def a_token(**data):
    """The Secret that the solver of DNS01 needs, with this content."""
    return Secret(namespace="cert-manager", name="cf", type=OPAQUE_TYPE, data=data)


@pytest.mark.parametrize(
    ("secret", "says"), [(None, "cert-manager/cf with the"), (a_token(other=b"x"), "has no key 'token'")]
)
def test_a_missing_secret_of_a_dns_solver_is_invalid_solver_until_it_appears(redis, secret, says):
    mill = Mill(redis, issuer=DNS01)
    if secret is not None:
        mill.ports.home.write_secret(secret)
    issuers = mill.issuers
    mill.ports.issuer_records.note_failing(DNS01.ref, WEB.id, now=NOW)
    issuers.reconcile_path("ClusterIssuer", "prod", owner="a")
    assert (ready_of(mill, DNS01).status, ready_of(mill, DNS01).reason) == (False, "InvalidSolver")
    assert says in ready_of(mill, DNS01).message
    assert not mill.has_record()  # what failed continues to wait

    mill.ports.home.write_secret(a_token(token=b"hunter2"))
    issuers.reconcile_path(
        "ClusterIssuer", "prod", owner="b"
    )  # the controller does this for every issuer that is not ready

    ready = ready_of(mill, DNS01)
    assert (ready.status, ready.reason) == (True, "ACMEAccountRegistered")
    assert ready.message == "The ACME account was registered with the ACME server"
    assert mill.has_record()


def test_an_invalid_solver_does_not_stop_the_others(redis):
    issuer = an_issuer(
        solvers=(
            *an_issuer().solvers,
            replace(DNS01.solvers[0], selector=Selector(dns_zones=("example.com",))),
        )
    )
    troubled_ = troubled(redis, lambda _: None, issuer=issuer)
    troubled_.ticks.reread("one")
    assert ready_of(troubled_, issuer).reason == "InvalidSolver"

    troubled_.reconciler.reconcile(WEB.id)
    troubled_.run()

    assert troubled_.world.leaf(WEB).dns_names == WEB.dns_names
    assert ready_of(troubled_, issuer).reason == "InvalidSolver"
    assert troubled_.ca.asked == ["prod"]  # its account can be used like any other


def test_an_e_mail_that_the_ca_does_not_take_is_err_update_acme_account(redis):
    mill = troubled(redis, lambda _: None)
    mill.ticks.reread("one")
    mill.ca.trouble = raising(AccountRefused("invalid contact"))
    mill.ports.home.apply(an_issuer(email="x@invalid.test"), "changed: true\n")

    mill.ticks.reread("two")

    assert (ready_of(mill).status, ready_of(mill).reason, ready_of(mill).message) == (
        False,
        "ErrUpdateACMEAccount",
        "invalid contact",
    )


def test_a_4xx_on_register_is_asked_no_more_until_the_issuer_is_edited(redis):
    mill = troubled(redis, raising(AccountRefused("invalid contact")))
    for tick in range(5):
        mill.ticks.reread(f"tick {tick}")
    assert mill.ca.asked == ["prod"]

    mill.ca.trouble = lambda _: None
    mill.ports.home.apply(an_issuer(email="new@example.test"), "changed: true\n")
    mill.ticks.reread("edited")

    assert mill.ca.asked == ["prod", "prod"]
    assert ready_of(mill).status


def test_a_4xx_on_register_is_not_repeated_by_reconciliations_of_the_issuer(redis):
    """The controller requests a reconciliation of each of them every half minute, because the Secret may
    exist now."""
    binding = ExternalAccountBinding(key_id="kid", key_secret_ref=SecretKeyRef(name="eab", key="hmac"))
    issuer = an_issuer(external_account_binding=binding)
    mill = troubled(redis, raising(AccountRefused("unknown key id")), issuer=issuer)
    eab = Secret(
        namespace="cert-manager", name="eab", type=OPAQUE_TYPE, data={"hmac": b"c2VjcmV0LW9uZS1zZWNyZXQtb25l"}
    )
    mill.ports.home.write_secret(eab)
    issuers = mill.issuers
    for _ in range(5):
        issuers.reconcile_path("ClusterIssuer", "prod", owner="a")
        mill.world.clock.advance(30)
    assert mill.ca.asked == ["prod"]

    mill.ca.trouble = lambda _: None
    mill.ports.home.write_secret(replace(eab, data={"hmac": b"c2VjcmV0LXR3by1zZWNyZXQtdHdv"}))
    issuers.reconcile_path("ClusterIssuer", "prod", owner="a")

    assert mill.ca.asked == ["prod", "prod"]
    assert ready_of(mill, issuer).status


def test_a_refused_account_is_reconciled_again_after_an_hour(redis):
    mill = troubled(redis, raising(AccountRefused("agree to the new terms")))
    issuers = mill.issuers
    issuers.reconcile_path("ClusterIssuer", "prod", owner="a")
    mill.world.clock.advance(3601)

    issuers.reconcile_path("ClusterIssuer", "prod", owner="a")

    assert mill.ca.asked == ["prod", "prod"]


def test_a_changed_e_mail_updates_the_account_and_last_registered_email_follows(redis):
    mill = troubled(redis, lambda _: None)
    mill.ticks.reread("one")
    before = mill.ports.home.issuer_status(an_issuer())
    changed = an_issuer(email="new@example.test")
    mill.ports.home.apply(changed, "changed: true\n")

    mill.ticks.reread("two")

    after = mill.ports.home.issuer_status(changed)
    assert (before.last_registered_email, after.last_registered_email) == (
        an_issuer().email,
        "new@example.test",
    )
    assert after.uri == before.uri
    assert mill.ca.updated == ["new@example.test"]


def test_a_ready_issuer_whose_host_e_mail_and_key_are_the_same_is_not_asked_again(redis):
    mill = troubled(redis, lambda _: None)
    mill.ticks.reread("one")

    for owner in ("a", "b"):
        account.register(mill.ports, an_issuer(), owner=owner)

    assert mill.ca.asked == ["prod"]


def test_the_key_of_a_certificate_is_no_account_key(redis):
    mill = Mill(redis)
    pair = a_pair(a_certificate(namespace="cert-manager", secret_name="prod-account"))
    mill.ports.home.write_secret(pair)

    mill.ticks.reread("tick")

    assert (ready_of(mill).status, ready_of(mill).reason) == (False, "ErrVerifyACMEAccount")
    assert "the Secret of Certificate web" in ready_of(mill).message
    assert mill.world.secret("cert-manager", "prod-account").data == pair.data


def test_a_ca_that_is_away_does_not_make_a_registered_account_unready(redis):
    mill = troubled(redis, lambda _: None)
    mill.ticks.reread("one")
    before = ready_of(mill)
    mill.ca.trouble = raising(CAUnavailable("503"))
    mill.ports.home.apply(an_issuer(email="new@example.test"), "changed: true\n")

    mill.ticks.reread("two")

    assert ready_of(mill) == before
    assert mill.ca.asked == ["prod", "prod"]


def test_an_account_that_is_refused_later_stays_the_account_and_is_asked_for_again(redis):
    mill = troubled(redis, lambda _: None)
    first = account.register(mill.ports, an_issuer(), owner="a")

    account.refused(mill.ports, an_issuer(), AccountRefused("agree to the new terms"))

    assert (ready_of(mill).status, ready_of(mill).message) == (False, "agree to the new terms")
    assert account.registered(mill.ports, an_issuer()) == first
    assert account.register(mill.ports, an_issuer(), owner="a") == first
    assert ready_of(mill).status
    assert mill.ca.asked == ["prod", "prod"]


def test_an_account_that_the_ca_does_not_know_is_not_trusted_any_more(redis):
    mill = Mill(redis)
    account.register(mill.ports, an_issuer(), owner="a")
    lost = AccountRefused("no such account")
    lost.acme_type = "accountDoesNotExist"

    account.refused(mill.ports, an_issuer(), lost)

    assert account.registered(mill.ports, an_issuer()) is None


def a_failed_mill(redis):
    """A run has failed, and its issuer's solvers have changed since."""
    mill = Mill(redis)
    mill.world.validates, validates = lambda *_: False, mill.world.validates
    mill.ticks.reread("zero")
    mill.run()
    mill.world.validates = validates
    mill.ports.home.apply(
        an_issuer(email="new@example.test", solvers=an_issuer().solvers * 2), "changed: true\n"
    )
    return mill


def failing(mill):
    """The runs that wait for the present version of the issuer."""
    return issuer_failures.to_begin(mill.ports, mill.ports.home.issuer(WEB.issuer))


def test_a_reread_that_dies_before_it_restarts_what_failed_is_repeated_by_the_next(redis):
    mill = a_failed_mill(redis)
    reconcile, died = mill.reconciler.reconcile, [KeyboardInterrupt()]

    def dying(certificate, options=AS_STORED):
        if options.ignore_back_off and died:
            raise died.pop()
        return reconcile(certificate, options)

    mill.reconciler.reconcile = dying
    with pytest.raises(KeyboardInterrupt):
        mill.ticks.reread("one")
    assert failing(mill) == [WEB.id]

    mill.ticks.reread("two")

    assert mill.record().step == "register_account"
    assert failing(mill) == []


def test_what_failed_waits_on_while_the_changed_issuers_ca_is_away(redis):
    mill = a_failed_mill(redis)
    mill.use(clients=TroubledCA(mill, raising(CAUnavailable("503"))))

    mill.ticks.reread("one")

    assert failing(mill) == [WEB.id]


def test_an_error_of_a_reread_names_its_object(redis):
    mill = troubled(redis, raising(CAUnavailable("503")))

    def away(*_, **__):
        raise StateUnavailable("Redis does not answer")

    mill.reconciler.reconcile = away
    found = mill.ticks.reread("tick")

    assert found.failed == ("Certificate default/web: Redis does not answer", "ClusterIssuer/prod: 503")


def test_a_sweep_skips_challenges_of_runs_and_those_it_cannot_remove(redis):
    mill = Mill(redis, issuer=DNS01)

    class Providers:
        def provider(self, issuer, solver):
            raise ProviderUnavailable("the API is down")

    mill.use(providers=Providers())
    mill.ports.journal.add([an_entry(number) for number in range(SWEEP_LIMIT)], now=NOW)
    mill.ports.journal.add([an_entry("", record_name="", zone="", value="token")], now=NOW + 1)
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 2)

    assert mill.ticks.sweep("sweep") == 0
    assert mill.ticks.sweep("sweep") == 1
    left = {entry.value for entry in mill.ports.journal.older_than(NOW + DAY, 1000).entries}
    assert left == {f"v{number}" for number in range(SWEEP_LIMIT)}


def a_slow_mill(redis, *, seconds, entries, trouble=lambda _: None):
    """An environment with orphaned challenges. Its provider takes time for each, records it in
    `mill.tried`, and may then raise."""
    mill = Mill(redis, issuer=DNS01)
    mill.tried = []

    class Slow:
        def cleanup(self, record):
            mill.tried.append(record.value)
            mill.world.clock.advance(seconds)
            trouble(record)

    class Providers:
        def provider(self, issuer, solver):
            return Slow()

    mill.use(providers=Providers())
    for number, entry in enumerate(entries):
        mill.ports.journal.add([entry], now=NOW + number / 1000)
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + len(entries))
    return mill


def test_a_sweep_tries_an_issuers_zone_that_times_out_once_and_the_others_all(redis):
    def trouble(record):
        if record.zone == "dead.test":
            raise ProviderUnavailable("the API did not answer in time")

    dead = [
        an_entry(number, zone="dead.test", record_name=f"_acme-challenge.n{number}.dead.test")
        for number in range(SWEEP_LIMIT - 1)
    ]
    mill = a_slow_mill(redis, seconds=5, entries=[*dead, an_entry("well")], trouble=trouble)
    begun = mill.world.clock.now()

    assert mill.ticks.sweep("sweep") == 1
    assert mill.tried == ["v0", "vwell"]
    assert mill.world.clock.now() - begun == 10
    assert len(mill.ports.journal.older_than(NOW + DAY, 1000).entries) == SWEEP_LIMIT - 1


def test_a_sweep_ends_in_time_and_the_next_one_continues(redis):
    mill = a_slow_mill(redis, seconds=5, entries=[an_entry(number) for number in range(20)])
    begun = mill.world.clock.now()

    assert mill.ticks.sweep("one") == 13
    assert mill.world.clock.now() - begun <= SWEEP_SECONDS + 5
    assert mill.ticks.sweep("two") == 7
    assert mill.tried == [f"v{number}" for number in range(20)]


def test_only_one_sweep_runs_at_a_time(redis):
    others = []
    mill = a_slow_mill(
        redis,
        seconds=5,
        entries=[an_entry(number) for number in range(3)],
        trouble=lambda _: others.append(mill.ticks.sweep("another")),
    )

    assert mill.ticks.sweep("one") == 3
    assert others == [0, 0, 0]
    assert mill.tried == ["v0", "v1", "v2"]
    assert not redis.exists(keys.lock("sweep"))


def test_a_sweep_that_lost_its_lock_stops(redis):
    def lose(_):
        redis.set(keys.lock("sweep"), "another worker")

    mill = a_slow_mill(redis, seconds=1, entries=[an_entry(number) for number in range(3)], trouble=lose)

    assert mill.ticks.sweep("one") == 1
    assert redis.get(keys.lock("sweep")) == "another worker"


def test_a_sweep_asks_the_solver_that_was_chosen_by_the_certificates_labels(redis):
    chosen = Solver(
        selector=Selector(match_labels={"team": "a"}), dns01=Dns01Solver(provider=Cloudflare(api_token=KEY))
    )
    mill = Mill(redis, issuer=an_issuer(solvers=(chosen,)))
    mill.world.provider.values["_acme-challenge.gone0.example.test"] = {"v0"}
    mill.ports.journal.add([an_entry(labels={"team": "a"})], now=NOW)
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)

    assert mill.ticks.sweep("sweep") == 1
    assert not mill.world.provider.values.get("_acme-challenge.gone0.example.test")


def test_the_challenges_of_a_deleted_issuer_are_kept_for_a_week(redis):
    mill = Mill(redis, issuer=DNS01)
    mill.ports.home.delete("ClusterIssuer", "", "prod")
    mill.ports.journal.add([an_entry()], now=NOW)
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)

    assert mill.ticks.sweep("sweep") == 0
    mill.world.clock.advance(ORPHAN_SECONDS - 60)
    assert mill.ticks.sweep("sweep") == 0
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)
    assert mill.ticks.sweep("sweep") == 1
    assert mill.ports.journal.older_than(NOW + 30 * DAY, 10).entries == ()


def test_the_challenges_of_a_returned_issuer_are_removed(redis):
    mill = Mill(redis, issuer=DNS01)
    mill.ports.home.delete("ClusterIssuer", "", "prod")
    mill.world.provider.values["_acme-challenge.gone0.example.test"] = {"v0"}
    mill.ports.journal.add([an_entry()], now=NOW)
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)
    mill.ticks.sweep("sweep")

    mill.ports.home.apply(DNS01, "back: true\n")
    mill.world.clock.advance(SWEEP_AFTER_SECONDS + 1)

    assert mill.ticks.sweep("sweep") == 1
    assert not mill.world.provider.values.get("_acme-challenge.gone0.example.test")
    assert redis.exists(keys.issuer_gone(DNS01.ref)) == 0


def test_the_lock_of_a_reread_is_short_and_renewed_between_batches(redis):
    mill = Mill(redis)
    for number in range(150):
        certificate = a_certificate(
            name=f"w{number:03}", secret_name=f"w{number:03}-tls", dns_names=(f"w{number}.example.test",)
        )
        mill.ports.home.apply(certificate, dump_yaml(certificate_document(certificate)))
    left, reconcile = [], mill.reconciler.reconcile

    def watched(certificate_id, *options):
        left.append(redis.pttl(keys.lock("reread")))
        redis.pexpire(keys.lock("reread"), 5000)
        return reconcile(certificate_id, *options)

    mill.reconciler.reconcile = watched
    mill.ticks.reread("tick")

    assert max(left) <= 25_000
    assert [number for number, ttl in enumerate(left) if ttl > 5000] == [0, 100]


def test_a_reread_that_lost_its_lock_stops(redis):
    mill = troubled(redis, lambda _: None)
    reconcile = mill.reconciler.reconcile

    def slow(certificate_id, *options):
        redis.set(keys.lock("reread"), "another worker")
        return reconcile(certificate_id, *options)

    mill.reconciler.reconcile = slow
    found = mill.ticks.reread("tick")

    assert not found.complete
    assert mill.ca.asked == []
    assert redis.get(keys.lock("reread")) == "another worker"
