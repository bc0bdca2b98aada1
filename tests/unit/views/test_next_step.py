"""What is next for a certificate, when and why."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from certmill.certificates.candidates import Candidate
from certmill.certificates.digest import digest
from certmill.contract import STEP_NAMES
from certmill.crypto import keys
from certmill.crypto.chain import leaf
from certmill.errors import FailureClass
from certmill.model.certificate import Certificate, IssuerRef, KeyAlgorithm, KeyEncoding, PrivateKeySpec
from certmill.model.issuer import Issuer, SecretKeyRef
from certmill.model.secret import TLS_TYPE, Secret
from certmill.model.status import CertificateStatus, Condition
from certmill.renewal.plan import plan
from certmill.runs.facts import Facts, Failure
from certmill.state.record import Record
from certmill.views.causes import Observed
from certmill.views.next_step import Known, next_line, step_number
from certmill.views.times import moment
from tests.support.builders import NOW
from tests.support.certificates import a_leaf, alternative_names, as_pem, private_key

DAY = 86_400.0

CERTIFICATE = Certificate(
    namespace="default",
    name="web",
    secret_name="web-tls",
    issuer_ref=IssuerRef(name="prod"),
    dns_names=("web.example.com",),
    private_key=PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256, encoding=KeyEncoding.PKCS8),
)
ISSUER = Issuer(
    kind="Issuer",
    namespace="default",
    name="prod",
    server="https://ca.test/dir",
    private_key=SecretKeyRef(name="k", key="tls.key"),
)


@pytest.fixture(scope="module")
def pair():
    """A pair for web.example.com, valid for 90 days from NOW."""
    pem = keys.generate(CERTIFICATE.private_key)
    leaf = a_leaf(private_key(pem), names=alternative_names(CERTIFICATE.dns_names))
    data = {"tls.crt": as_pem(leaf), "tls.key": pem}
    return Secret(namespace="default", name="web-tls", type=TLS_TYPE, data=data)


def known(**changes):
    jitter = changes.pop("renewal_jitter", 0.0)
    secret, issuer = changes.pop("secret", None), changes.pop("issuer", ISSUER)
    certificate = changes.pop("certificate", CERTIFICATE)
    observed = Observed(
        certificate=certificate,
        issuer_ref=certificate.issuer_ref,
        **({"status": CertificateStatus()} | changes),
    )
    candidate = Candidate(
        ref=certificate.issuer_ref,
        identity=certificate.issuer,
        spec=digest(certificate, issuer),
        issuer=issuer,
    )
    return Known(observed=observed, candidates=(candidate,), secret=secret, renewal_jitter=jitter)


def test_a_stored_pair_is_renewed_at_two_thirds_of_its_lifetime(pair):
    line = next_line(known(secret=pair), NOW + DAY)

    assert line == "renews at 2027-03-16 08:00:00 UTC (in 59d), 2/3 of its lifetime"


def test_the_renewal_that_is_shown_is_that_at_which_the_run_begins(pair):
    seen = known(secret=pair, renewal_jitter=3600.0)
    at = plan(CERTIFICATE, leaf(pair.data["tls.crt"]), jitter_seconds=3600.0).instant

    assert NOW + 60 * DAY - 3600 < at < NOW + 60 * DAY
    assert next_line(seen, NOW).startswith(f"renews at {moment(at)} ")
    assert next_line(seen, at).startswith("is issued when a worker reconciles it (within 30 s): Renewing")


def test_the_renewal_time_that_the_workers_have_written_is_shown(pair):
    status = CertificateStatus(renewal_time=NOW + 60 * DAY - 600)

    line = next_line(known(secret=pair, status=status, renewal_jitter=3600.0), NOW)

    assert line.startswith("renews at 2027-03-16 07:50:00 UTC")


def test_a_renew_before_that_is_longer_than_the_lifetime_is_not_shown_as_the_rule(pair):
    wanted = replace(CERTIFICATE, renew_before=datetime.timedelta(days=100))

    line = next_line(known(certificate=wanted, secret=pair), NOW)

    assert line == "renews at 2027-03-16 08:00:00 UTC (in 60d), 2/3 of its lifetime"


def test_nothing_stored_is_issued_at_the_next_reconciliation():
    line = next_line(known(), NOW)

    assert (
        line
        == "is issued when a worker reconciles it (within 30 s): Issuing certificate as Secret does not exist"
    )


def test_a_missing_issuer_is_said():
    assert next_line(known(issuer=None), NOW).endswith("; first apply Issuer prod")


def test_a_failed_certificate_is_tried_again_because_of_what_failed():
    message = (
        "The certificate request has failed to complete and will be retried: the CA refuses web.example.com"
    )
    status = CertificateStatus(
        conditions=(
            Condition(type="Issuing", status=False, reason="Failed", message=message, last_transition=NOW),
        ),
        next_attempt=NOW + 3600,
        failed_spec=digest(CERTIFICATE, ISSUER),
    )

    line = next_line(known(status=status), NOW)

    assert line == "tries again at 2027-01-15 09:00:00 UTC (in 60m), because the CA refuses web.example.com"


def test_a_waiting_step_says_when_and_why():
    record = Record(
        step="wait_for_propagation",
        due=NOW + 3,
        reason="web.example.com: ns2.example.com does not have it yet",
        since=NOW - 5,
    )

    line = next_line(known(record=record), NOW)

    assert (
        line == "tries wait_for_propagation again in 3s, because web.example.com: "
        "ns2.example.com does not have it yet"
    )


def test_a_run_that_waits_for_its_issuer_says_that_it_continues_sooner():
    record = Record(step="register_account", due=NOW + 3600, reason="Issuer/default/prod is not ready: no")

    assert (
        next_line(known(record=record), NOW)
        == "tries register_account again in 60m, or as soon as the issuer is ready, because "
        "Issuer/default/prod is not ready: no"
    )


def test_a_leased_step_is_run_by_a_worker_now():
    record = Record(step="finalize", lease=NOW + 50, since=NOW - 1, reason="the CA is issuing", due=NOW - 1)

    assert next_line(known(record=record), NOW) == "a worker asks the CA to issue the certificate now"


def test_a_run_that_failed_says_when_it_is_tried_again_after_its_clean_up():
    failure = Failure(
        failure_class=FailureClass.NAME_IS_WRONG, message="no such name", next_attempt=NOW + 720
    )
    record = Record(
        step="clean_up",
        reason="no such name",
        due=NOW + 720,
        since=NOW,
        facts=Facts(failure=failure).to_json(),
    )

    line = next_line(known(record=record), NOW)

    assert line.endswith("then tries again at 2027-01-15 08:12:00 UTC (in 12m), because no such name")


def test_a_run_of_another_release_whose_facts_cannot_be_read_is_reported_by_its_step():
    record = Record(step="finalize", lease=NOW + 50, since=NOW - 1, facts='{"of": "another release"}')

    assert next_line(known(record=record), NOW) == "a worker asks the CA to issue the certificate now"


def test_a_step_that_nobody_takes_up_hints_at_the_workers():
    record = Record(step="create_order", since=NOW - 600)

    line = next_line(known(record=record), NOW)

    assert line.startswith(
        "a worker asks the CA for an order as soon as one is free; no worker has taken it up yet, for 10m: "
        "check that"
    )
    line = next_line(known(record=Record(step="create_order", since=NOW - 5)), NOW)
    assert line == "a worker asks the CA for an order as soon as one is free; no worker has taken it up yet"


def test_a_secret_of_another_certificate_stops_everything(pair):
    line = next_line(known(secret=pair, owner="old"), NOW)

    assert (
        line
        == "nothing, while Secret web-tls belongs to Certificate old: give one of them another secretName"
    )


def test_every_step_has_its_number():
    assert step_number("wait_for_propagation") == "step 4 of 8"
    assert [step_number(step) for step in STEP_NAMES][-1] == "step 8 of 8"
