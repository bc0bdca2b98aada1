"""Statuses in the form of cert-manager's CRDs and back, and when the next attempt comes, whoever wrote what
it depends on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from certmill.home.kubernetes.status import (
    ATTEMPT_ANNOTATION,
    attempt_of,
    certificate_status_of,
    issuer_status_of,
    names_an_order,
    with_certificate_status,
    with_issuer_status,
    with_refusal,
)
from certmill.model.revocation import Revocation, RevocationReason
from certmill.model.status import CertificateStatus, Condition, IssuerStatus

HOUR = 3600.0
FAILED = 1_800_000_000.0
FAILURE = CertificateStatus(
    conditions=(
        Condition(type="Issuing", status=False, reason="Failed", message="no", last_transition=FAILED),
    ),
    last_failure_time=FAILED,
    failed_issuance_attempts=3,
    next_attempt=FAILED + 90,
    failed_spec="abc",
    failed_run="3@1800000000.000",
)
SERVER = "https://ca.example/dir"
REGISTERED = IssuerStatus(
    conditions=(
        Condition(type="Ready", status=True, reason="Registered", message="", last_transition=FAILED),
    ),
    uri="https://ca.example/account/1",
    last_registered_email="a@b.example",
    last_private_key_hash="h",
    server=SERVER,
)

INSTANTS = st.integers(0, 4_000_000_000).map(float)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
CONDITIONS = st.lists(
    st.builds(Condition, type=st.sampled_from(["Ready", "Issuing", "AtRisk"]), status=st.booleans(),
              reason=TEXTS, message=TEXTS, last_transition=INSTANTS),
    unique_by=lambda condition: condition.type,
    max_size=3,
).map(tuple)  # fmt: skip
CERTIFICATE_STATUSES = st.builds(
    CertificateStatus,
    conditions=CONDITIONS,
    not_before=st.none() | INSTANTS,
    not_after=st.none() | INSTANTS,
    renewal_time=st.none() | INSTANTS,
    revision=st.integers(0, 1000),
)
FAILURES = st.tuples(INSTANTS, st.integers(1, 50), INSTANTS, TEXTS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def a_body(status=None, annotations=None, generation=1, server=SERVER):
    metadata = {
        "name": "web",
        "namespace": "default",
        "generation": generation,
        "annotations": annotations or {},
    }
    return {
        "metadata": metadata,
        "spec": {"acme": {"server": server}},
        **({"status": status} if status is not None else {}),
    }


def written(body, status):
    """The object after a home has written this status."""
    attempt = attempt_of(status, body)
    annotations = {
        **body["metadata"]["annotations"],
        **({ATTEMPT_ANNOTATION: attempt} if attempt is not None else {}),
    }
    body = {**body, "metadata": {**body["metadata"], "annotations": annotations}}
    return json.loads(json.dumps(with_certificate_status(body, status)))


def edited(body, **fields):
    """The object after a person has changed its status."""
    status = {name: value for name, value in {**body["status"], **fields}.items() if value is not None}
    return {**body, "status": status}


@given(status=CERTIFICATE_STATUSES)
def test_a_status_is_read_as_it_was_written(status):
    assert certificate_status_of(written(a_body(), status)) == status


@given(status=CERTIFICATE_STATUSES, failure=FAILURES)
def test_a_failure_is_read_as_it_was_written(status, failure):
    failed_at, attempts, following, spec = failure
    failed = replace(
        status,
        last_failure_time=failed_at,
        failed_issuance_attempts=attempts,
        next_attempt=following,
        failed_spec=spec,
    )

    assert certificate_status_of(written(a_body(), failed)) == failed


@given(before=CERTIFICATE_STATUSES, after=CERTIFICATE_STATUSES)
def test_nothing_of_the_status_before_is_left(before, after):
    body = written(
        written(
            a_body(), replace(before, last_failure_time=5.0, failed_issuance_attempts=1, next_attempt=9.0)
        ),
        after,
    )

    since = {one.type: one.last_transition for one in before.conditions}
    assert certificate_status_of(body).failed_issuance_attempts == 0
    assert replace(certificate_status_of(body), conditions=()) == replace(after, conditions=())
    for now, wanted in zip(certificate_status_of(body).conditions, after.conditions, strict=True):
        assert replace(now, last_transition=0.0) == replace(wanted, last_transition=0.0)
        assert now.last_transition in (wanted.last_transition, since.get(now.type))


@given(status=CERTIFICATE_STATUSES)
def test_the_same_status_again_changes_nothing(status):
    body = written(a_body(), status)

    assert with_certificate_status(body, certificate_status_of(body)) == body


@given(status=JSON, annotation=st.text())
def test_any_status_and_annotation_can_be_read(status, annotation):
    body = a_body(status, {ATTEMPT_ANNOTATION: annotation})

    certificate_status_of(body)
    issuer_status_of(body)
    with_certificate_status(body, CertificateStatus())


@pytest.mark.parametrize(
    "time",
    [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_times_at_the_ends_of_the_calendar_are_read_and_written(time):
    """Whoever may write a Certificate's status may write them; one that cannot be handled would end a tick
    that is for all."""
    names = ("notBefore", "notAfter", "renewalTime", "lastFailureTime")
    condition = {"type": "Issuing", "status": "False", "reason": "Failed", "lastTransitionTime": time}
    body = {"status": dict.fromkeys(names, time) | {"failedIssuanceAttempts": 9, "conditions": [condition]}}
    status = certificate_status_of(body)

    attempt = attempt_of(status, body)
    written = with_certificate_status({}, status)

    assert attempt is None or json.loads(attempt)["attempts"] == 9
    assert written["status"]["conditions"][0]["reason"] == "Failed"
    assert certificate_status_of(written).failed_issuance_attempts == 9


def test_what_others_keep_in_a_status_stays():
    body = a_body(
        {
            "acme": {"order": {"url": "https://ca.example/1"}},
            "nextPrivateKeySecretName": "web-next",
            "revision": 1,
        }
    )

    status = written(body, CertificateStatus(revision=2))["status"]

    assert status["acme"] == body["status"]["acme"]
    assert (status["nextPrivateKeySecretName"], status["revision"]) == ("web-next", 2)


ARI = {
    "certID": "aki.serial",
    "suggestedWindow": {"start": "2027-01-01T00:00:00Z", "end": "2027-01-02T00:00:00Z"},
    "explanationURL": "https://ca.example/why",
    "lastChecked": "2026-12-01T00:00:00Z",
    "nextCheck": "2026-12-01T06:00:00Z",
    "lastError": "503",
}


def test_renewal_information_is_written_as_cert_manager_writes_it():
    status = certificate_status_of(a_body({"acme": {"ari": ARI}}))

    assert status.ari.window == (1_798_761_600.0, 1_798_848_000.0)
    assert written(a_body({}), status)["status"]["acme"] == {"ari": ARI}
    assert written(a_body({"acme": {"ari": ARI | {"new": 1}}}), status)["status"]["acme"]["ari"]["new"] == 1


def test_renewal_information_of_a_pair_that_is_gone_is_removed():
    body = a_body({"acme": {"ari": ARI, "order": 1}})

    assert written(body, CertificateStatus())["status"]["acme"] == {"order": 1}
    assert "acme" not in written(a_body({"acme": {"ari": ARI}}), CertificateStatus())["status"]


@pytest.mark.parametrize(
    "damaged", [1, "x", [], {}, {"suggestedWindow": 1}, {"suggestedWindow": {"start": "x"}}]
)
def test_damaged_renewal_information_has_no_window(damaged):
    ari = certificate_status_of(a_body({"acme": {"ari": damaged}})).ari

    assert ari is None or ari.window is None


@pytest.mark.parametrize(
    ("end", "at_once"), [("2027-01-02T00:00:00Z", True), ("2027-01-03T00:00:00Z", False)]
)
def test_that_a_window_was_past_from_the_beginning_is_of_that_window(end, at_once):
    """cert-manager's CRD has no field for it, so it is in our annotation, with the end of the window."""
    status = certificate_status_of(a_body({"acme": {"ari": ARI}}))
    status = replace(status, ari=replace(status.ari, at_once=True))
    annotation = attempt_of(status, a_body({}))
    later = {"acme": {"ari": ARI | {"suggestedWindow": {"start": "2027-01-01T00:00:00Z", "end": end}}}}

    found = certificate_status_of(a_body(later, annotations={ATTEMPT_ANNOTATION: annotation}))

    assert found.ari.at_once is at_once


@pytest.mark.parametrize("with_status", [with_certificate_status, with_issuer_status])
def test_conditions_of_others_stay_as_they_are(with_status):
    theirs = {
        "type": "Audited",
        "status": "Unknown",
        "reason": "Never",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = a_body(
        {"conditions": [theirs, {"type": "Ready", "status": "False", "reason": "No"}]}, generation=7
    )
    ready = REGISTERED.conditions

    status = (
        CertificateStatus(conditions=ready)
        if with_status is with_certificate_status
        else IssuerStatus(conditions=ready)
    )
    written = with_status(body, status)["status"]["conditions"]

    assert [one["type"] for one in written] == ["Ready", "Audited"]
    assert written[1] == theirs
    assert with_refusal(body, "InvalidConfig", "no", now=FAILED)["status"]["conditions"][1] == theirs


def test_a_condition_that_stays_keeps_its_time_and_one_that_changes_gets_a_new_one():
    body = written(a_body(), FAILURE)
    (condition,) = FAILURE.conditions

    same = written(
        body, replace(FAILURE, conditions=(replace(condition, message="other", last_transition=FAILED + 60),))
    )
    turned = written(
        body, replace(FAILURE, conditions=(replace(condition, status=True, last_transition=FAILED + 60),))
    )

    assert certificate_status_of(same).conditions[0].last_transition == FAILED
    assert certificate_status_of(turned).conditions[0].last_transition == FAILED + 60


def test_a_condition_is_of_the_generation_it_was_written_for():
    assert written(a_body(generation=7), FAILURE)["status"]["conditions"][0]["observedGeneration"] == 7


class TestTheNextAttempt:
    def test_is_the_one_that_was_decided(self):
        assert certificate_status_of(written(a_body(), FAILURE)).next_attempt == FAILED + 90

    def test_a_failure_that_was_aged_by_hand_follows_cert_managers_rule(self):
        body = edited(written(a_body(), FAILURE), lastFailureTime="2027-01-01T00:00:00Z")

        status = certificate_status_of(body)

        assert status.next_attempt == status.last_failure_time + 4 * HOUR
        assert status.failed_spec == "abc"

    @pytest.mark.parametrize(
        ("attempts", "hours"), [(None, 1), (0, 1), (1, 1), (2, 2), (5, 16), (6, 32), (7, 32), (10_000, 32)]
    )
    def test_attempts_that_were_changed_by_hand_do_too(self, attempts, hours):
        body = edited(
            written(a_body(), replace(FAILURE, failed_issuance_attempts=99)), failedIssuanceAttempts=attempts
        )

        assert certificate_status_of(body).next_attempt == FAILED + hours * HOUR

    def test_a_failure_that_was_cleared_is_none(self):
        body = edited(written(a_body(), FAILURE), lastFailureTime=None)

        status = certificate_status_of(body)

        assert (status.next_attempt, status.failed_spec) == (None, "")

    def test_after_a_success_the_annotation_of_the_failure_counts_no_more(self):
        body = written(written(a_body(), FAILURE), CertificateStatus(revision=1))

        assert ATTEMPT_ANNOTATION in body["metadata"]["annotations"]
        assert certificate_status_of(body) == CertificateStatus(revision=1)

    def test_the_failure_of_cert_manager_holds_until_the_spec_changes(self):
        condition = {"type": "Issuing", "status": "False", "reason": "Failed", "observedGeneration": 4}
        status = {
            "lastFailureTime": "2027-01-15T08:00:00Z",
            "failedIssuanceAttempts": 2,
            "conditions": [condition],
        }

        same, changed = (
            certificate_status_of(a_body(status, generation=generation)) for generation in (4, 5)
        )

        assert (same.next_attempt, same.failed_spec) == (same.last_failure_time + 2 * HOUR, "")
        assert changed.next_attempt is None


class TestTheTimeOfTheLastIssuance:
    def test_costs_nothing_where_it_does_not_matter(self):
        assert (
            attempt_of(CertificateStatus(last_issuance_time=FAILED, renewal_time=FAILED + 60 * 24 * HOUR), {})
            is None
        )

    def test_is_kept_for_a_pair_that_is_to_be_renewed_at_once(self):
        status = CertificateStatus(last_issuance_time=FAILED, renewal_time=FAILED - HOUR)

        assert certificate_status_of(written(a_body(), status)) == status

    def test_is_kept_beside_a_failure(self):
        status = replace(FAILURE, last_issuance_time=FAILED - 60, renewal_time=FAILED)

        assert certificate_status_of(written(a_body(), status)) == status


class TestIssuers:
    @given(conditions=CONDITIONS, uri=TEXTS, email=TEXTS, key_hash=TEXTS)
    def test_a_status_is_read_as_it_was_written(self, conditions, uri, email, key_hash):
        assume(not any(one.type == "Ready" for one in conditions))
        status = IssuerStatus(
            conditions=conditions, uri=uri, last_registered_email=email, last_private_key_hash=key_hash
        )

        assert replace(issuer_status_of(with_issuer_status(a_body(), status)), server="") == status

    def test_an_account_is_at_the_server_it_was_registered_with(self):
        body = with_issuer_status(a_body(), REGISTERED)

        assert issuer_status_of(body) == REGISTERED
        moved = a_body(body["status"], generation=2, server="https://other.example/dir")
        assert issuer_status_of(moved).server == ""

    def test_a_refusal_by_the_new_server_does_not_make_the_old_account_its_own(self):
        body = with_issuer_status(a_body(), REGISTERED)
        moved = a_body(body["status"], generation=2, server="https://other.example/dir")
        refused = replace(REGISTERED.conditions[0], status=False, reason="ErrRegisterACMEAccount")

        after = with_issuer_status(moved, replace(issuer_status_of(moved), conditions=(refused,)))

        assert issuer_status_of(after).server == ""

    def test_an_account_at_another_host_is_the_servers_while_it_is_ready(self):
        elsewhere = replace(REGISTERED, uri="https://accounts.example/1")

        assert issuer_status_of(with_issuer_status(a_body(), elsewhere)) == elsewhere

    def test_cert_managers_account_is_taken_as_it_is(self):
        acme = {
            "uri": "https://ca.example/account/1",
            "lastRegisteredEmail": "a@b.example",
            "lastPrivateKeyHash": "h",
        }
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "ACMEAccountRegistered",
            "observedGeneration": 1,
        }

        assert issuer_status_of(a_body({"acme": acme, "conditions": [ready]})).server == SERVER

    def test_a_refused_issuer_keeps_its_account(self):
        body = with_refusal(
            with_issuer_status(a_body(), REGISTERED), "InvalidConfig", "spec.acme: is wrong", now=FAILED + 60
        )

        status = issuer_status_of(body)

        assert (status.uri, status.last_private_key_hash) == (REGISTERED.uri, "h")
        assert status.condition("Ready") == Condition(
            type="Ready",
            status=False,
            reason="InvalidConfig",
            message="spec.acme: is wrong",
            last_transition=FAILED + 60,
        )


def test_the_order_of_a_run_is_noted_in_the_annotation_and_taken_out_again():
    noted = written(a_body(), CertificateStatus(order="https://ca.test/order/1", order_spec="abc"))
    assert names_an_order(noted)
    assert (certificate_status_of(noted).order, certificate_status_of(noted).order_spec) == (
        "https://ca.test/order/1",
        "abc",
    )

    cleared = written(noted, replace(certificate_status_of(noted), order="", order_spec=""))
    assert not names_an_order(cleared)
    assert certificate_status_of(cleared).order == ""
    assert attempt_of(CertificateStatus(), cleared) is None


def test_a_revocation_is_in_the_annotation_until_it_is_over():
    revoked = Revocation(serial="5", public_key="k", reason=RevocationReason.KEY_COMPROMISE, at=FAILED)
    text = attempt_of(CertificateStatus(revoked=revoked), {})
    body = {"metadata": {"annotations": {ATTEMPT_ANNOTATION: text}}}

    assert certificate_status_of(body).revoked == revoked
    assert attempt_of(CertificateStatus(), body) == "{}"
