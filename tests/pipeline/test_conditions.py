"""Conditions and events of a Certificate while it waits, is issued, fails, and shares a Secret, as in
cert-manager."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.certificates import ownership
from certmill.contract import STEP_NAMES
from certmill.crypto import keys
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import CAUnavailable, InvalidManifest, OrderRefused, RateLimited
from certmill.home.cached import CachedHome
from certmill.model.annotations import ISSUE_TEMPORARY_CERTIFICATE
from certmill.model.certificate import IssuerRef, KeyAlgorithm, PrivateKeySpec, RotationPolicy, SecretTemplate
from certmill.model.issuer import Dns01Solver, Solver
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.secret import TLS_TYPE, Secret
from certmill.model.status import CertificateStatus, Condition, as_of
from certmill.model.trigger import ReconcileOptions
from certmill.renewal.policy import READY_MESSAGE
from certmill.state import keys as keys_of_redis
from tests.pipeline.faulty_client import with_faults
from tests.support.builders import DAY, ECDSA, NOW, a_certificate, a_pair, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
BY_DNS = an_issuer(solvers=(Solver(dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1:53"))),))
ABSENT = "Issuing certificate as Secret does not exist"
FAILED = "The certificate request has failed to complete and will be retried: "
HOUR = 3600.0
CONFLICT = (
    "If this message is not transient, you might have two conflicting Certificates pointing to the same "
    "secret."
)


class Told:
    """Events, kept."""

    def __init__(self):
        self.all = []

    def record_event(self, certificate, reason, message, *, warning=False):
        self.all.append((certificate.name, reason, message))

    def of(self, reason):
        return [message for _, found, message in self.all if found == reason]


@pytest.fixture
def events():
    return Told()


def counted(mill):
    """Counts the writes of the status from now on."""
    written, write = [], mill.ports.home.write_certificate_status

    def count(certificate, status):
        written.append(status)
        write(certificate, status)

    mill.ports.home.write_certificate_status = count
    return written


def said(mill, type_, certificate=WEB):
    """(status, reason, message) of a condition."""
    found = mill.ports.home.certificate_status(certificate.id).condition(type_)
    return (found.status, found.reason, found.message) if found else None


def failing(redis, age):
    """An environment with a pair of this age, whose renewal has failed: it backs off for 20 hours."""
    mill = Mill(redis)
    mill.issue()
    mill.world.clock.advance(age)
    now = mill.world.clock.now()
    failure = {"last_failure_time": now, "failed_issuance_attempts": 5, "next_attempt": now + 20 * HOUR}
    failed = Condition(type="Issuing", status=False, reason="Failed", message="no", last_transition=now)
    status = mill.status()
    mill.ports.home.write_certificate_status(
        WEB.id, replace(status, conditions=(*status.conditions, failed), **failure)
    )
    return mill


class TestWhileItIsIssued:
    def test_issuing_and_not_ready_say_why_from_the_beginning(self, redis):
        mill = Mill(redis)

        mill.reconciler.reconcile(WEB.id)

        assert said(mill, "Issuing") == (True, "DoesNotExist", ABSENT)
        assert said(mill, "Ready") == (False, "DoesNotExist", ABSENT)

    def test_issuing_is_removed_after_success_and_ready_says_that_it_is_up_to_date(self, redis):
        mill = Mill(redis)

        mill.issue()

        assert said(mill, "Issuing") is None
        assert said(mill, "Ready") == (True, "Ready", "Certificate is up to date and has not expired")

    def test_a_run_that_succeeds_writes_its_status_twice(self, redis):
        mill = Mill(redis)
        written = counted(mill)

        mill.issue()

        assert len(written) == 2

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            (
                replace(WEB, private_key=PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=384)),
                "SecretMismatch",
            ),
            (
                replace(WEB, issuer_ref=IssuerRef(name="prod", kind="ClusterIssuer", group="other.test")),
                "IncorrectIssuer",
            ),
            (replace(WEB, dns_names=("new.example.test",)), "RequestChanged"),
        ],
    )
    def test_a_pair_that_is_no_longer_wanted_is_issuing_and_not_ready_for_one_reason(
        self, redis, changed, reason
    ):
        mill = Mill(redis)
        mill.issue()
        mill.apply(changed)

        mill.reconciler.reconcile(WEB.id)

        assert said(mill, "Issuing")[:2] == (True, reason)
        assert said(mill, "Ready") == (False, *said(mill, "Issuing")[1:])

    def test_a_pair_that_is_to_be_renewed_is_issuing_as_renewing_and_stays_ready(self, redis):
        mill = Mill(redis)
        mill.issue()
        mill.world.clock.advance(61 * DAY)
        mill.ticks.renew()

        assert said(mill, "Issuing")[:2] == (True, "Renewing")
        assert said(mill, "Ready") == (True, "Ready", READY_MESSAGE)

    def test_a_pair_put_there_by_hand_has_its_times_though_it_is_to_be_renewed(self, redis):
        mill = Mill(redis)
        mill.ports.home.write_secret(a_pair(WEB))
        mill.world.clock.advance(61 * DAY)

        mill.reconciler.reconcile(WEB.id)

        assert said(mill, "Issuing")[:2] == (True, "Renewing")
        assert (mill.status().not_before, mill.status().not_after) == pytest.approx((NOW, NOW + 90 * DAY))
        assert mill.status().renewal_time == pytest.approx(NOW + 60 * DAY, abs=HOUR)
        assert not as_of(mill.status(), NOW + 90 * DAY).condition("Ready").status

    def test_a_pair_put_there_by_hand_has_its_times_while_a_back_off_holds(self, redis):
        mill = failing(redis, 61 * DAY)
        mill.ports.home.write_secret(a_pair(WEB, days=64))

        assert not mill.reconciler.reconcile(WEB.id).publish_run

        assert mill.status().not_after == pytest.approx(NOW + 64 * DAY)

    def test_a_pair_without_recorded_times_is_not_ready_once_it_expires_in_a_run(self, redis):
        mill = Mill(redis)
        mill.ports.home.write_secret(a_pair(WEB))
        mill.world.clock.advance(61 * DAY)
        mill.reconciler.reconcile(WEB.id)
        mill.ports.home.write_certificate_status(
            WEB.id, replace(mill.status(), not_before=None, not_after=None, renewal_time=None)
        )

        mill.reconciler.reconcile(WEB.id)
        assert mill.status().not_after == pytest.approx(NOW + 90 * DAY)
        assert said(mill, "Ready")[0]

        mill.world.clock.advance(30 * DAY)
        mill.reconciler.reconcile(WEB.id)
        assert said(mill, "Ready")[:2] == (False, "Expired")
        assert mill.status().condition("Ready").last_transition == pytest.approx(NOW + 90 * DAY)

    def test_a_good_pair_has_its_times_though_its_issuer_cannot_be_read(self, redis):
        mill = Mill(redis)
        mill.ports.home.write_secret(a_pair(WEB))

        def unreadable(*_):
            raise InvalidManifest("is no URL", path="spec.acme.server")

        mill.ports.home.issuer = unreadable
        ready = Condition(type="Ready", status=True, reason="Ready", message="", last_transition=NOW)
        mill.ports.home.write_certificate_status(WEB.id, CertificateStatus(conditions=(ready,)))

        mill.reconciler.reconcile(WEB.id)

        assert mill.status().not_after == pytest.approx(NOW + 90 * DAY)
        assert mill.status().condition("Ready") == ready
        assert not as_of(mill.status(), NOW + 90 * DAY).condition("Ready").status

    def test_one_that_has_expired_is_not_ready_as_expired(self, redis):
        mill = Mill(redis)
        mill.issue()
        mill.world.clock.advance(91 * DAY)
        mill.ticks.renew()

        assert said(mill, "Issuing")[1] == said(mill, "Ready")[1] == "Expired"
        assert said(mill, "Ready")[0] is False

    def test_a_failure_sets_issuing_false_with_its_message_and_leaves_ready_as_it_is(self, redis, events):
        mill = Mill(redis, events=events)
        mill.world.validates = lambda *_: False
        mill.reconciler.reconcile(WEB.id)
        mill.run()

        status, reason, message = said(mill, "Issuing")
        assert (status, reason) == (False, "Failed")
        assert message == f"{FAILED}{mill.failed}"
        assert said(mill, "Ready") == (False, "DoesNotExist", ABSENT)
        assert (mill.status().failed_issuance_attempts, mill.status().last_failure_time) == (
            1,
            mill.world.clock.now(),
        )
        assert events.of("Failed") == [message]

    def test_without_a_pair_the_status_has_no_times_of_one(self, redis):
        mill = Mill(redis)
        mill.issue()
        assert None not in (mill.status().not_before, mill.status().not_after, mill.status().renewal_time)
        mill.ports.home.delete_secret("default", "web-tls")

        mill.reconciler.reconcile(WEB.id)

        status = mill.status()
        assert (status.not_before, status.not_after, status.renewal_time, status.revision) == (
            None,
            None,
            None,
            1,
        )

    def test_a_changed_spec_does_not_wait_but_only_success_resets_the_failure_count(self, redis):
        mill = Mill(redis)
        mill.world.validates = lambda *_: False
        mill.reconciler.reconcile(WEB.id)
        mill.run()
        assert not mill.reconciler.reconcile(WEB.id).publish_run
        mill.apply(replace(WEB, dns_names=("new.example.test",)))

        assert mill.reconciler.reconcile(WEB.id).publish_run
        assert mill.status().failed_issuance_attempts == 1
        mill.run()
        assert mill.status().failed_issuance_attempts == 2
        mill.world.validates = lambda *_: True
        mill.reconciler.reconcile(WEB.id, ReconcileOptions(ignore_back_off=True))
        mill.run()

        assert (mill.status().failed_issuance_attempts, mill.status().last_failure_time) == (0, None)

    def test_a_pair_that_expires_during_a_back_off_is_not_ready_and_is_tried(self, redis):
        mill = failing(redis, 89 * DAY + 23 * HOUR)

        assert not mill.reconciler.reconcile(WEB.id).publish_run
        assert said(mill, "Ready") == (True, "Ready", READY_MESSAGE)

        mill.world.clock.advance(1.1 * HOUR)
        mill.ticks.renew()
        assert said(mill, "Ready")[:2] == (False, "Expired")
        assert said(mill, "Issuing")[:2] == (True, "Expired")

    def test_one_whose_renewal_fails_is_tried_again_when_it_expires(self, redis):
        mill = Mill(redis)
        mill.issue()
        mill.world.clock.advance(90 * DAY - 300)
        mill.world.validates = lambda *_: False
        mill.reconciler.reconcile(WEB.id)
        mill.run()
        assert said(mill, "Ready")[0]
        assert mill.status().next_attempt == mill.status().not_after

        mill.world.clock.advance(301)
        mill.ticks.renew()

        assert said(mill, "Ready")[:2] == (False, "Expired")
        assert said(mill, "Issuing")[:2] == (True, "Expired")

    def test_a_certificate_whose_secret_is_deleted_in_a_back_off_has_no_times(self, redis):
        mill = failing(redis, 61 * DAY)
        mill.ports.home.delete_secret(WEB.namespace, WEB.secret_name)
        written = counted(mill)

        for _ in range(3):
            assert not mill.reconciler.reconcile(WEB.id).publish_run

        assert said(mill, "Ready") == (False, "DoesNotExist", ABSENT)
        assert (mill.status().not_after, mill.status().renewal_time) == (None, None)
        assert len(written) == 1

    def test_a_wrong_issuer_is_reported_on_the_certificate_and_counts_no_failure(self, redis):
        mill = Mill(redis)
        mill.ports.home.break_manifest("ClusterIssuer", "", "prod", "spec.acme.server: is no URL")
        written = counted(mill)

        mill.reconciler.reconcile(WEB.id)

        assert said(mill, "Ready") == (False, "DoesNotExist", ABSENT)
        assert said(mill, "Issuing")[:2] == (False, "Failed")
        assert said(mill, "Issuing")[2].endswith("spec.acme.server: is no URL")
        assert (len(written), mill.status().failed_issuance_attempts) == (1, 0)

    def test_an_issuer_that_is_wrong_makes_no_certificate_unready_whose_pair_is_good(self, redis):
        mill = Mill(redis)
        mill.issue()
        mill.ports.home.break_manifest("ClusterIssuer", "", "prod", "spec.acme.server: is no URL")
        before = mill.status()

        mill.reconciler.reconcile(WEB.id)

        assert mill.status() == before

    def test_a_secret_that_an_issuer_needs_is_reported_as_an_invalid_spec(self, redis):
        taken = replace(WEB, namespace="cert-manager", secret_name="prod-account")
        mill = Mill(redis, certificate=taken)

        mill.reconciler.reconcile(taken.id)

        status, reason, message = said(mill, "Ready", taken)
        assert (status, reason) == (False, "InvalidSpec")
        assert message.startswith("spec.secretName: is a Secret that ClusterIssuer/prod needs")


class TestWhileItWaits:
    def waiting(self, redis, events):
        """A run whose value cannot be seen."""
        mill = Mill(redis, issuer=BY_DNS, events=events)
        mill.world.provider.present = lambda record: None
        mill.reconciler.reconcile(WEB.id)
        mill.run()
        return mill

    REASON = "web.example.test: ns1.example.test does not have it yet"

    def test_a_short_wait_is_reported_in_an_event_and_costs_no_status(self, redis, events):
        mill = self.waiting(redis, events)

        assert events.of("Waiting") == [self.REASON]
        assert said(mill, "Issuing") == (True, "DoesNotExist", ABSENT)

    def test_a_long_wait_is_shown_in_issuings_message_once_and_not_at_every_poll(self, redis, events):
        mill = self.waiting(redis, events)
        written = counted(mill)

        for _ in range(5):
            mill.wake(70)

        assert said(mill, "Issuing") == (True, "DoesNotExist", f"{ABSENT}; waiting: {self.REASON}")
        assert said(mill, "Ready") == (False, "DoesNotExist", ABSENT)
        assert len(written) == 1
        assert events.of("Waiting") == [self.REASON]

    def test_each_thing_that_is_waited_for_is_written_once_though_they_come_in_turn(self, redis, events):
        mill = self.waiting(redis, events)
        servers, visible = ["ns1", "ns2"] * 3, mill.world.visible
        mill.world.visible = lambda *args, **options: replace(
            visible(*args, **options), reason=f"{servers.pop()}.example.test does not have it yet"
        )
        written = counted(mill)

        for _ in range(6):
            mill.wake(70)

        assert [
            status.condition("Issuing").message.rpartition(": ")[2].split(".")[0] for status in written
        ] == ["ns2", "ns1"]

    def test_a_reason_that_changes_with_every_poll_does_not_write_at_every_poll(self, redis, events):
        mill = self.waiting(redis, events)
        polls, visible = iter(range(100)), mill.world.visible
        mill.world.visible = lambda *args, **options: replace(
            visible(*args, **options), reason=f"from port {next(polls)}"
        )
        written = counted(mill)

        for _ in range(9):
            mill.wake(61)

        assert len(written) <= 8
        assert len(events.of("Waiting")) <= 8

    def test_a_rate_limit_is_shown_at_once_when_it_is_long(self, redis, events):
        mill = with_faults(
            Mill(redis, events=events),
            new_order=[RateLimited("the CA says: too many new orders", retry_after=7200)],
        )
        mill.reconciler.reconcile(WEB.id)

        mill.run()

        assert said(mill, "Issuing") == (
            True,
            "DoesNotExist",
            f"{ABSENT}; waiting: the CA says: too many new orders",
        )

    def test_a_ca_that_is_away_for_long_is_shown(self, redis, events):
        mill = with_faults(
            Mill(redis, events=events), new_order=[CAUnavailable("the CA is away") for _ in range(3)]
        )
        mill.reconciler.reconcile(WEB.id)
        mill.run()
        assert said(mill, "Issuing") == (True, "DoesNotExist", ABSENT)

        mill.wake(70)

        assert said(mill, "Issuing") == (True, "DoesNotExist", f"{ABSENT}; waiting: the CA is away")

    def test_a_pair_that_expires_while_its_renewal_waits_is_then_not_ready(self, redis, events):
        mill = Mill(redis, events=events)
        mill.issue()
        mill.world.clock.advance(90 * DAY - 300)
        with_faults(mill, new_order=[RateLimited("the CA says: too many new orders", retry_after=7200)])
        mill.reconciler.reconcile(WEB.id)
        mill.run()
        assert said(mill, "Ready") == (True, "Ready", READY_MESSAGE)

        mill.world.clock.advance(301)
        written = counted(mill)
        for _ in range(3):
            mill.reconciler.reconcile(WEB.id)

        assert said(mill, "Ready")[:2] == (False, "Expired")
        assert said(mill, "Issuing")[:2] == (True, "Renewing")
        assert mill.record().step == "create_order"
        assert len(written) == 1

    def test_after_a_long_wait_success_leaves_nothing_of_it(self, redis, events):
        mill = self.waiting(redis, events)
        mill.wake(70)
        mill.world.visible = lambda *_, **__: replace(
            type(mill.world).visible(mill.world, *_, **__), visible=True
        )
        mill.world.validates = lambda *_: True

        mill.wake(70)

        assert said(mill, "Issuing") is None
        assert said(mill, "Ready") == (True, "Ready", READY_MESSAGE)

    def test_the_mark_of_cmctl_is_kept_during_a_wait(self, redis, events):
        mill = self.waiting(redis, events)
        mill.ports.home.write_certificate_status(
            WEB.id,
            replace(
                mill.status(),
                conditions=(replace(mill.status().condition("Issuing"), reason="ManuallyTriggered"),),
            ),
        )

        mill.wake(70)

        assert said(mill, "Issuing")[:2] == (True, "ManuallyTriggered")


class TestTwoOfOneSecret:
    RIVAL = a_certificate(name="rival", dns_names=("rival.example.test",))

    @pytest.fixture
    def mill(self, redis, events):
        mill = Mill(redis, events=events)
        mill.ports.home.apply(self.RIVAL, dump_yaml(certificate_document(self.RIVAL)))
        self.ages = {"web": 1.0, "rival": 2.0}
        mill.ports.home.created = lambda ref: self.ages.get(ref.name)
        return mill

    def test_the_one_that_the_secrets_annotation_names_owns_it_whichever_is_older(self, mill):
        mill.issue()
        self.ages["rival"] = 0.0

        assert "belongs to Certificate web" in mill.reconciler.reconcile(self.RIVAL.id).reason
        assert mill.reconciler.reconcile(WEB.id).right

    def test_the_other_certificate_waits_and_writes_its_status_once(self, mill):
        mill.issue()
        written = counted(mill)

        for _ in range(3):
            mill.reconciler.reconcile(self.RIVAL.id)

        assert said(mill, "Ready", self.RIVAL) == (
            False,
            "IncorrectCertificate",
            f'Secret was issued for "web". {CONFLICT}',
        )
        assert said(mill, "Issuing", self.RIVAL) is None
        assert len(written) == 1
        assert len(set(written)) == 1
        assert len(mill.world.ca.orders) == 1

    def test_without_a_secret_the_oldest_owns_it(self, mill):
        mill.reconciler.reconcile(WEB.id)

        found = mill.reconciler.reconcile(self.RIVAL.id)

        assert "belongs to Certificate web" in found.reason
        message = f'Secret is to be issued for "web", which is older. {CONFLICT}'
        assert said(mill, "Ready", self.RIVAL) == (False, "IncorrectCertificate", message)

    def test_of_hundreds_each_reconciliation_asks_the_home_about_a_few_only(self, mill):
        rivals = [
            a_certificate(name=f"rival-{number:03}", dns_names=("rival.example.test",))
            for number in range(200)
        ]
        self.ages |= {rival.name: 1000.0 - number for number, rival in enumerate(rivals)} | {
            "web": 2000.0,
            "rival": 3000.0,
        }
        home = mill.ports.home
        for rival in rivals:
            home.apply(rival, dump_yaml(certificate_document(rival)))
        for certificate in (*reversed(rivals), WEB):
            mill.reconciler.reconcile(certificate.id)
        asked = []
        certificate, created = home.certificate, home.created
        home.certificate = lambda id_: asked.append(id_) or certificate(id_)
        home.created = lambda *key: asked.append(key) or created(*key)

        assert "belongs to Certificate rival-199" in mill.reconciler.reconcile(rivals[0].id).reason
        assert len(asked) < 10

        home.delete("Certificate", "default", "rival-199")
        home.apply(
            replace(rivals[198], secret_name="moved-tls"), dump_yaml(certificate_document(rivals[198]))
        )
        assert "belongs to Certificate rival-197" in mill.reconciler.reconcile(rivals[0].id).reason
        asked.clear()
        assert "belongs to Certificate rival-197" in mill.reconciler.reconcile(WEB.id).reason
        assert len(asked) < 10

    def test_of_two_of_one_second_the_first_by_name_owns_it(self, mill):
        self.ages["web"] = self.ages["rival"] = 1.0
        mill.reconciler.reconcile(WEB.id)

        assert mill.reconciler.reconcile(self.RIVAL.id).publish_run

    def test_a_younger_certificate_reconciled_first_gives_way_before_its_order(self, mill):
        self.ages["rival"] = 0.5
        mill.reconciler.reconcile(WEB.id)
        mill.reconciler.reconcile(self.RIVAL.id)

        mill.run()

        assert mill.world.ca.orders == {}
        assert mill.record().step == ""
        assert said(mill, "Ready")[1] == "IncorrectCertificate"
        assert said(mill, "Issuing") is None

    def test_a_younger_certificate_that_sees_the_older_one_late_does_not_store(self, mill):
        self.ages["rival"] = 0.5
        mill.reconciler.reconcile(WEB.id)
        for step in STEP_NAMES[:6]:
            mill.step(step)
        mill.reconciler.reconcile(self.RIVAL.id)

        mill.run("store_secret")

        assert mill.ports.home.secret("default", "web-tls") is None
        assert said(mill, "Ready")[1] == "IncorrectCertificate"

    def test_when_the_owner_is_deleted_the_other_takes_over(self, mill):
        mill.issue()
        mill.reconciler.reconcile(self.RIVAL.id)
        mill.ports.home.delete("Certificate", "default", "web")

        assert mill.reconciler.reconcile(self.RIVAL.id).publish_run
        assert said(mill, "Issuing", self.RIVAL)[:2] == (True, "RequestChanged")

    def test_it_takes_over_though_steps_cache_the_owner(self, mill):
        mill.use_in_steps(home=CachedHome(mill.ports.home, mill.world.clock))
        mill.issue()
        mill.apply(self.RIVAL)
        mill.reconciler.reconcile(self.RIVAL.id)
        mill.ports.home.delete("Certificate", "default", "web")

        assert mill.reconciler.reconcile(self.RIVAL.id).publish_run
        mill.run()

        assert mill.world.leaf(self.RIVAL).dns_names == ("rival.example.test",)

    def test_when_the_owner_wants_another_secret_the_other_takes_over(self, mill):
        mill.issue()
        mill.reconciler.reconcile(self.RIVAL.id)
        mill.apply(replace(WEB, secret_name="moved-tls"))

        assert mill.reconciler.reconcile(self.RIVAL.id).publish_run

    def test_taking_over_a_pair_that_fits_needs_no_order_and_changes_the_annotation(self, mill):
        mill.issue()
        heir = replace(WEB, name="heir")
        mill.ports.home.apply(heir, dump_yaml(certificate_document(heir)))
        mill.ports.home.delete("Certificate", "default", "rival")
        mill.ports.home.delete("Certificate", "default", "web")

        assert mill.reconciler.reconcile(heir.id).right
        assert (
            mill.world.secret("default", "web-tls").annotations["cert-manager.io/certificate-name"] == "heir"
        )
        assert len(mill.world.ca.orders) == 1

    def test_after_redis_was_lost_the_annotation_still_names_the_owner(self, mill, redis):
        mill.issue()
        redis.flushdb()

        assert "belongs to Certificate web" in mill.reconciler.reconcile(self.RIVAL.id).reason

    def test_a_pair_put_there_by_hand_is_adopted_without_an_order_and_gets_annotations(self, mill):
        pair = a_pair(WEB)
        mill.ports.home.write_secret(replace(pair, labels={}, annotations={}))

        assert mill.reconciler.reconcile(WEB.id).right

        found = mill.world.secret("default", "web-tls")
        assert (found.data, found.labels, found.annotations) == (pair.data, pair.labels, pair.annotations)
        assert mill.world.ca.orders == {}

    def test_a_secret_that_one_certificate_names_is_not_contested(self, mill):
        other = replace(WEB, name="alone", secret_name="alone-tls")

        assert not ownership.claim(mill.ports, other)


class TestWhileItCleansUp:
    """The run has ended and its status is written; only the clean-up of its challenges is left."""

    ASKED = Condition(
        type="Issuing", status=True, reason="ManuallyTriggered", message="", last_transition=NOW
    )

    def cleaning_up(self, redis, **faults):
        mill = with_faults(Mill(redis), **faults)
        mill.reconciler.reconcile(WEB.id)
        for step in STEP_NAMES[:7]:
            mill.step(step)
        assert mill.record().step == "clean_up"
        return mill

    def test_a_failure_cleared_while_a_run_ends_begins_another_run_at_once(self, redis):
        mill = self.cleaning_up(redis, new_order=[OrderRefused("no")])
        mill.ports.home.write_certificate_status(WEB.id, CertificateStatus())
        mill.reconciler.reconcile(WEB.id)

        result = mill.step("clean_up")

        assert result.publish_run
        assert mill.record().step == "register_account"

    def test_a_failure_cleared_while_a_run_ends_is_reconciled_by_the_next_tick(self, redis):
        mill = self.cleaning_up(redis, new_order=[OrderRefused("no")])
        mill.ports.home.write_certificate_status(WEB.id, CertificateStatus())

        mill.step("clean_up")

        assert redis.zscore(keys_of_redis.RENEWALS, WEB.id) <= mill.world.clock.now()

    def test_a_run_requested_by_cmctl_while_a_run_ends_begins_at_once(self, redis):
        mill = self.cleaning_up(redis)
        mill.ports.home.write_certificate_status(
            WEB.id, replace(mill.status(), conditions=(*mill.status().conditions, self.ASKED))
        )
        mill.reconciler.reconcile(WEB.id)

        assert mill.step("clean_up").publish_run
        mill.run()

        assert mill.status().revision == 2
        assert said(mill, "Issuing") is None

    def test_a_template_that_changes_then_reaches_the_secret_when_it_has_cleaned_up(self, redis):
        mill = self.cleaning_up(redis)
        mill.apply(replace(WEB, secret_template=SecretTemplate(labels={"team": "tea"})))
        mill.reconciler.reconcile(WEB.id)

        mill.step("clean_up")

        assert mill.world.secret("default", "web-tls").labels["team"] == "tea"
        assert (len(mill.world.ca.orders), mill.record().step) == (1, "")

    def test_a_reconciliation_that_finds_nothing_to_issue_begins_nothing(self, redis):
        for faults in ({}, {"new_order": [OrderRefused("no")]}):
            mill = self.cleaning_up(redis, **faults)

            mill.reconciler.reconcile(WEB.id)

            assert not getattr(mill.step("clean_up"), "publish_run", False)
            assert mill.record().step == ""
            redis.flushdb()


class TestTemporaryCertificate:
    ASKED = replace(WEB, annotations={ISSUE_TEMPORARY_CERTIFICATE: "true"})
    FIVE = frozenset({"alt-names", "certificate-name", "common-name", "ip-sans", "uri-sans"})

    def annotations(self, mill):
        found = mill.world.secret("default", "web-tls").annotations
        return {name.removeprefix("cert-manager.io/") for name in found}

    def test_it_is_stored_with_five_annotations_and_ready_together_with_issuing(self, redis, events):
        mill = Mill(redis, certificate=self.ASKED, events=events)

        mill.reconciler.reconcile(WEB.id)

        assert self.annotations(mill) == self.FIVE
        assert mill.world.leaf(self.ASKED).dns_names == WEB.dns_names
        assert said(mill, "Ready") == (True, "Ready", READY_MESSAGE)
        assert said(mill, "Issuing") == (True, "DoesNotExist", ABSENT)

    def test_it_is_replaced_at_issuance_with_the_eight(self, redis, events):
        mill = Mill(redis, certificate=self.ASKED, events=events)
        mill.issue()

        assert self.annotations(mill) == self.FIVE | {"issuer-name", "issuer-kind", "issuer-group"}
        assert mill.world.leaf(self.ASKED).issuer_common_name != "cert-manager.local"
        assert events.of("Issuing") == [
            "Issued temporary certificate",
            ABSENT,
            "The certificate has been successfully issued",
        ]

    @pytest.mark.parametrize(
        "data", [{"tls.crt": b"junk", "tls.key": b"junk"}, {"tls.crt": b"", "tls.key": b""}]
    )
    def test_a_temporary_pair_replaces_a_pair_that_cannot_be_used(self, redis, events, data):
        mill = Mill(redis, certificate=self.ASKED, events=events)
        mill.ports.home.write_secret(Secret(namespace="default", name="web-tls", type=TLS_TYPE, data=data))

        mill.reconciler.reconcile(WEB.id)

        assert self.annotations(mill) == self.FIVE

    def test_a_pair_that_can_be_used_is_left_until_the_new_one_is_there(self, redis, events):
        mill = Mill(redis, certificate=self.ASKED, events=events)
        old = a_pair(replace(WEB, dns_names=("old.example.test",)))
        mill.ports.home.write_secret(old)

        mill.reconciler.reconcile(WEB.id)

        assert mill.world.secret("default", "web-tls").data == old.data
        assert said(mill, "Ready")[:2] == (False, "RequestChanged")

    def test_it_stays_ready_while_a_back_off_holds(self, redis, events):
        mill = Mill(redis, certificate=self.ASKED, events=events)
        mill.reconciler.reconcile(WEB.id)
        now = mill.world.clock.now()
        redis.delete(keys_of_redis.record(WEB.id))
        mill.ports.home.write_certificate_status(
            WEB.id, replace(mill.status(), last_failure_time=now, next_attempt=now + HOUR)
        )

        assert "backing off until" in mill.reconciler.reconcile(WEB.id).reason
        assert said(mill, "Ready")[0]

    @pytest.mark.parametrize("value", ["True", "1", "yes", ""])
    def test_only_the_exact_word_true_asks_for_it(self, redis, value):
        mill = Mill(redis, certificate=replace(WEB, annotations={ISSUE_TEMPORARY_CERTIFICATE: value}))

        mill.reconciler.reconcile(WEB.id)

        assert mill.ports.home.secret("default", "web-tls") is None


class TestEvents:
    def test_a_run_records_events_for_its_begin_its_order_and_its_end(self, redis, events):
        mill = Mill(redis, events=events)

        mill.issue()

        assert [(reason, message.split("http")[0]) for _, reason, message in events.all] == [
            ("Issuing", ABSENT),
            ("Requested", "Created order "),
            ("Issuing", "The certificate has been successfully issued"),
        ]

    NEVER = replace(WEB, private_key=replace(ECDSA, rotation_policy=RotationPolicy.NEVER))

    def again(self, redis, events, stored):
        """Issue again over this key."""
        mill = Mill(redis, certificate=self.NEVER, events=events)
        data = {"tls.crt": b"x", "tls.key": stored}
        mill.ports.home.write_secret(Secret(namespace="default", name="web-tls", type=TLS_TYPE, data=data))
        mill.reconciler.reconcile(WEB.id)
        mill.run()
        return mill

    def test_a_key_that_is_kept_is_reported_as_reused(self, redis, events):
        key = keys.generate(ECDSA)

        mill = self.again(redis, events, key)

        assert events.of("Reused") == ['Reusing private key stored in existing Secret resource "web-tls"']
        assert mill.world.secret("default", "web-tls").data["tls.key"] == key

    def test_a_key_that_cannot_be_read_is_reported_and_another_is_made(self, redis, events):
        mill = self.again(redis, events, b"junk")

        assert events.of("DecodeFailed") == [
            'Failed to decode private key stored in Secret "web-tls" - generating new key'
        ]
        assert mill.record().result == "issued"

    def test_a_key_that_may_not_be_replaced_is_reported(self, redis, events):
        mill = self.again(
            redis, events, keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=384))
        )

        (message,) = events.of("CannotRegenerateKey")
        assert message.startswith(
            "User intervention required: the key in Secret default/web-tls is not what is asked for"
        )
        assert said(mill, "Issuing", self.NEVER)[:2] == (False, "Failed")
        assert mill.world.ca.orders == {}


def test_a_run_of_a_changed_manifest_does_not_fail_because_of_the_former_one(redis):
    mill = Mill(redis, certificate=replace(WEB, issuer_ref=IssuerRef(name="nobody", kind="ClusterIssuer")))
    mill.use_in_steps(home=CachedHome(mill.ports.home, mill.world.clock))
    mill.reconciler.reconcile(WEB.id)
    mill.run()
    assert "ClusterIssuer/nobody is not there" in mill.record().reason

    mill.apply(WEB)
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    assert mill.record().result == "issued"
