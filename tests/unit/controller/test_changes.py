"""What a change of a watched object means: which objects are looked at, and which changes are nothing."""

from __future__ import annotations

import pytest

from certmill.controller import changes
from certmill.controller.changes import ReconcileRequest
from certmill.controller.views import certificate_view, issuer_view, secret_view
from certmill.kube.objects import instant_of
from tests.unit.controller.bodies import (
    END,
    ISSUED,
    READY,
    RENEWAL,
    a_certificate,
    a_secret,
    a_shim,
    an_ingress,
    an_issuer,
    condition,
)

WEB = ReconcileRequest(kind="Certificate", namespace="default", name="web")
NOW = instant_of("2027-01-01T00:00:00Z")
FAILED = {
    "conditions": [condition("Issuing", "False", "Failed")],
    "lastFailureTime": "2027-01-01T00:00:00Z",
    "failedIssuanceAttempts": 2,
}


def certificate(status=None, **metadata):
    return certificate_view(a_certificate(status=status, **metadata))


def of_certificate(before, after):
    return list(changes.of_certificate(before, after))


class TestOfACertificate:
    def test_one_that_came_is_reconciled_and_one_that_went_too(self):
        assert of_certificate(None, certificate()) == of_certificate(certificate(), None) == [WEB]

    @pytest.mark.parametrize(
        "change",
        [
            {"generation": 2},
            {"uid": "another"},
            {"labels": {"a": "b"}},
            {"annotations": {"cert-manager.io/x": "y"}},
        ],
    )
    def test_another_spec_label_or_annotation_is_reconciled(self, change):
        assert of_certificate(certificate(), certificate(**change)) == [WEB]

    def test_a_run_asked_for_through_the_status_is_reconciled_once(self):
        asked = certificate(
            {**ISSUED, "conditions": [READY, condition("Issuing", "True", "ManuallyTriggered")]}
        )

        assert of_certificate(certificate(ISSUED), asked) == [WEB]
        assert of_certificate(asked, asked) == []

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({}, {"conditions": [condition("Ready", "False"), condition("Issuing", "True", "DoesNotExist")]}),
            ({"conditions": [condition("Issuing", "True", "DoesNotExist")]}, ISSUED),
            ({"conditions": [condition("Issuing", "True", "DoesNotExist")]}, FAILED),
            (FAILED, {**FAILED, "failedIssuanceAttempts": 3, "lastFailureTime": "2027-01-01T02:00:00Z"}),
            (FAILED, {**FAILED, "conditions": [condition("Issuing", "True", "DoesNotExist")]}),
            (FAILED, ISSUED),
            ({**ISSUED, **FAILED, "conditions": [READY]}, {**ISSUED, "notAfter": "2027-06-01T00:00:00Z"}),
            (ISSUED, {**ISSUED, "renewalTime": "2027-02-01T00:00:00Z"}),
        ],
        ids=[
            "a run begins",
            "is issued",
            "fails",
            "fails again",
            "begins again",
            "is issued then",
            "is renewed then",
            "is adopted",
        ],
    )
    def test_our_own_statuses_are_nothing(self, before, after):
        assert of_certificate(certificate(before), certificate(after)) == []

    def test_our_own_annotation_is_nothing(self):
        for name in ("certmill.io/next-attempt", "certmill.io/history"):
            assert of_certificate(certificate(), certificate(annotations={name: "x"})) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"lastFailureTime": "2026-01-01T00:00:00Z"},
            {"failedIssuanceAttempts": 1},
            {"failedIssuanceAttempts": 0},
            {"lastFailureTime": ""},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("ready", [False, True])
    def test_a_failure_that_somebody_aged_or_cleared_is_reconciled(self, change, ready):
        before = {**ISSUED, **FAILED, "conditions": [READY]} if ready else FAILED

        assert of_certificate(certificate(before), certificate({**before, **change})) == [WEB]


class TestOfASecret:
    def of(self, before, after, owner=None):
        return list(changes.of_secret(before, after, owner))

    def test_one_that_somebody_edited_or_deleted_is_its_certificates_matter(self):
        before, after = secret_view(a_secret()), secret_view(a_secret(resourceVersion="2"))

        assert (
            self.of(before, after, certificate(ISSUED))
            == self.of(before, None, certificate(ISSUED))
            == self.of(None, after)
            == [WEB]
        )

    def test_one_that_did_not_change_is_nothing(self):
        assert self.of(secret_view(a_secret()), secret_view(a_secret())) == []

    def test_while_its_certificate_is_issued_writes_are_ours_and_a_deletion_is_not(self):
        issuing = certificate({"conditions": [condition("Issuing", "True")]})
        before, after = secret_view(a_secret()), secret_view(a_secret(resourceVersion="2"))

        assert self.of(before, after, issuing) == []
        assert self.of(before, None, issuing) == [WEB]

    def test_a_write_of_another_program_is_reconciled_even_if_issuing_seems_to_go_on(self):
        issuing = certificate({"conditions": [condition("Issuing", "True")]})
        ours = {"manager": "certmill", "operation": "Apply"}
        theirs = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-01T00:00:00Z"}
        before = secret_view(a_secret(managedFields=[ours]))
        edited = secret_view(a_secret(managedFields=[ours, theirs], resourceVersion="2"))
        again = secret_view(
            a_secret(managedFields=[ours, theirs | {"time": "2026-11-01T00:00:09Z"}], resourceVersion="3")
        )
        rewritten = secret_view(
            a_secret(managedFields=[ours | {"time": "2026-11-01T00:00:10Z"}, theirs], resourceVersion="4")
        )

        assert self.of(before, edited, issuing) == self.of(edited, again, issuing) == [WEB]
        assert self.of(edited, rewritten, issuing) == []

    def test_one_whose_annotations_were_taken_away_is_still_its_certificates_matter(self):
        assert self.of(
            secret_view(a_secret()), secret_view(a_secret(certificate="", resourceVersion="2"))
        ) == [WEB]

    def test_one_that_changes_hands_is_the_matter_of_both(self):
        found = self.of(
            secret_view(a_secret()), secret_view(a_secret(certificate="mail", resourceVersion="2"))
        )

        assert [request.name for request in found] == ["web", "mail"]

    def test_one_that_nobody_was_issued_is_nothing(self):
        assert self.of(None, secret_view(a_secret(certificate=""))) == []


class TestOfAnIssuer:
    def of(self, before, after):
        return list(changes.of_issuer("ClusterIssuer", before, after))

    def test_one_that_came_or_changed_is_reconciled(self):
        request = ReconcileRequest(kind="ClusterIssuer", namespace="", name="prod")
        before = issuer_view(an_issuer())

        assert self.of(None, before) == [request]
        for change in ({"generation": 2}, {"uid": "another"}, {"annotations": {"a": "b"}}):
            assert self.of(before, issuer_view(an_issuer(**change))) == [request]

    def test_its_status_is_ours_and_one_that_went_is_noticed_by_what_needs_it(self):
        assert self.of(issuer_view(an_issuer(ready=False)), issuer_view(an_issuer())) == []
        assert self.of(issuer_view(an_issuer()), None) == []


class TestOfAShim:
    def test_whatever_its_certificates_are_made_of_is_reconciled(self):
        before, after = (
            a_shim(an_ingress("x", "one") | {"spec": {"tls": [{"hosts": [host], "secretName": "one"}]}})
            for host in "ab"
        )
        request = ReconcileRequest(kind="Ingress", namespace="default", name="x")

        assert (
            list(changes.of_shim("Ingress", before, after))
            == list(changes.of_shim("Ingress", None, after))
            == [request]
        )
        assert (
            list(changes.of_shim("Ingress", after, after))
            == list(changes.of_shim("Ingress", after, None))
            == []
        )

    def test_the_certificates_that_it_wants_no_more_are_named(self):
        before, after = (
            a_shim(an_ingress("x", *names)) for names in (("one", "two", "three"), ("two", "four"))
        )

        (request,) = changes.of_shim("Ingress", before, after)

        assert request.left == ("one", "three")

    def test_what_no_certificate_can_be_called_is_not_named(self):
        before, after = (
            a_shim(an_ingress("x", *names)) for names in (("One_Two", "a/b", "three"), ("four",))
        )

        (request,) = changes.of_shim("Ingress", before, after)

        assert request.left == ("three",)


class TestWhatIsRightAtFirstSight:
    def is_adoptable(self, status=ISSUED, secret=None, now=NOW, **metadata):
        found = a_secret() if secret is None else secret
        return changes.is_adoptable(
            certificate(status, **metadata), secret_view(found) if found else None, now=now
        )

    def test_a_ready_certificate_with_its_secret_is(self):
        assert self.is_adoptable()

    @pytest.mark.parametrize(
        ("writer", "field", "at", "is_adoptable"),
        [
            ("kubectl-edit", "f:data", "10:00:01", False),
            ("kubectl-edit", "f:stringData", "10:00:01", True),
            ("kubectl-edit", "f:data", "09:59:59", True),
            ("cert-manager-certificates-issuing", "f:data", "10:00:01", True),
        ],
        ids=["after us", "no pair", "before us", "cert-manager"],
    )
    def test_a_pair_that_was_written_after_us_unobserved_is_not(self, writer, field, at, is_adoptable):
        fields = {"f:tls.crt": {}, "f:tls.key": {}}
        entries = [
            {
                "manager": "certmill",
                "operation": "Apply",
                "time": "2026-11-01T10:00:00Z",
                "fieldsV1": {"f:data": {"f:tls.key": {}}},
            },
            {
                "manager": writer,
                "operation": "Update",
                "time": f"2026-11-01T{at}Z",
                "fieldsV1": {field: fields},
            },
        ]

        assert self.is_adoptable(secret=a_secret(managedFields=entries)) is is_adoptable

    @pytest.mark.parametrize(
        "change",
        [
            {"status": {}},
            {"status": {**ISSUED, "renewalTime": ""}},
            {"status": {**ISSUED, "notAfter": ""}},
            {"status": {**ISSUED, "conditions": [READY, condition("Issuing", "True", "ManuallyTriggered")]}},
            {"status": {**ISSUED, "failedIssuanceAttempts": 1}},
            {"generation": 2},
            {"secret": {}},
            {"secret": a_secret(certificate="mail")},
            {"secret": a_secret(issuer=("stage", "ClusterIssuer", "cert-manager.io"))},
            {"now": instant_of(RENEWAL)},
            {"now": instant_of(END)},
        ],
        ids=[
            "not ready", "no renewal", "no end", "asked for", "failing", "another spec", "no Secret",
            "another's Secret", "another issuer",
            "to be renewed", "expired",
        ],
    )  # fmt: skip
    def test_anything_else_is_not(self, change):
        assert not self.is_adoptable(**change)


def test_a_certificate_that_is_being_deleted_is_reconciled_once_and_never_adopted():
    going = {"deletionTimestamp": "2027-01-01T00:00:00Z", "generation": 2}
    ending = certificate(ISSUED, **going)
    secret = secret_view(a_secret())

    assert of_certificate(certificate(ISSUED), ending) == [WEB]
    assert not changes.is_adoptable(
        certificate(ISSUED, deletionTimestamp=going["deletionTimestamp"]), secret, now=NOW
    )
    assert not changes.is_unfinished(certificate(deletionTimestamp=going["deletionTimestamp"]), None)


def test_a_pair_of_a_fall_back_issuer_leaves_no_work():
    secret = secret_view(a_secret(issuer=("backup", "Issuer", "cert-manager.io")))

    assert not changes.is_unfinished(certificate(ISSUED), secret)
    assert changes.is_unfinished(certificate(ISSUED), secret_view(a_secret(certificate="other")))
    assert not changes.is_adoptable(certificate(ISSUED), secret, now=NOW), "only a reconcile knows the list"
