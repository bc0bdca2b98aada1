"""What is kept of a watched object, and that any object can be stripped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.controller import virtualserver
from certmill.controller.changes import ReconcileRequest
from certmill.controller.views import certificate_view, issuer_view, secret_view, shim_view
from certmill.http01.edit_in_place import NOTE
from certmill.kube.objects import instant_of
from tests.unit.controller.bodies import (
    END,
    ISSUED,
    RENEWAL,
    a_certificate,
    a_secret,
    a_shim,
    an_ingress,
    an_issuer,
    condition,
    meta,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
OBJECTS = st.fixed_dictionaries({}, optional={"metadata": JSON, "spec": JSON, "status": JSON})


def test_a_certificate_that_was_issued_is_ready_until_it_is_renewed():
    view = certificate_view(a_certificate(status=ISSUED))

    assert (view.ready, view.issuing, view.asked, view.failure) == (True, False, False, ("", 0))
    assert (view.renewal_time, view.not_after) == (instant_of(RENEWAL), instant_of(END))
    assert (view.secret_name, view.issuer) == ("web-tls", ("prod", "ClusterIssuer", "cert-manager.io"))


def test_ready_for_an_earlier_spec_is_not_ready():
    assert not certificate_view(a_certificate(status=ISSUED, generation=2)).ready


def test_ready_without_a_generation_counts():
    status = {"conditions": [{"type": "Ready", "status": "True"}]}

    assert certificate_view(a_certificate(status=status, generation=2)).ready


def test_a_run_that_was_requested_by_hand_is_distinguished_from_an_automatic_one():
    asked, begun, over = (
        certificate_view(a_certificate(status={"conditions": [condition("Issuing", status, reason)]}))
        for status, reason in (
            ("True", "ManuallyTriggered"),
            ("True", "DoesNotExist"),
            ("False", "ManuallyTriggered"),
        )
    )

    assert [(view.issuing, view.asked) for view in (asked, begun, over)] == [
        (True, True),
        (True, False),
        (False, False),
    ]


def written_by(manager, *fields):
    """An entry of managedFields: this manager wrote these of the condition Issuing."""
    issuing = {f"f:{name}": {} for name in fields}
    return {
        "manager": manager,
        "operation": "Update",
        "fieldsV1": {"f:status": {"f:conditions": {'k:{"type":"Issuing"}': issuing}}},
    }


@pytest.mark.parametrize(
    ("entries", "asked"),
    [
        ([written_by("kubectl-edit", "type", "status", "reason")], True),
        ([written_by("certmill", "type", "status", "reason")], False),
        ([written_by("kubectl-edit", "message"), written_by("certmill", "status")], False),
        (
            [{"manager": "kubectl-edit", "fieldsV1": {"f:status": {"f:conditions": {}}}}, {"manager": 3}],
            False,
        ),
    ],
)
def test_no_matter_who_else_set_issuing_has_asked_for_a_run_whatever_the_reason(entries, asked):
    status = {"conditions": [condition("Issuing", "True", "Rotation")]}

    assert certificate_view(a_certificate(status=status, managedFields=entries)).asked == asked


def test_what_is_being_deleted_says_so_and_asks_for_nothing():
    going = {"deletionTimestamp": "2027-01-01T00:00:00Z"}
    shop = an_ingress("shop", "web-tls")
    view = a_shim({**shop, "metadata": {**shop["metadata"], **going}})

    assert certificate_view(a_certificate(**going)).deleting
    assert (view.desired, view.secret_names, view.is_mistaken) == ((), None, False)
    assert a_shim(shop).desired != ()


@pytest.mark.parametrize("manager", ["certmill", "cert-manager-certificates-issuing", "acme.example"])
def test_what_we_wrote_by_our_field_manager_is_not_written_by_others(manager):
    pair = {"f:data": {"f:tls.crt": {}, "f:tls.key": {}}}
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": pair, "time": "2027-01-01T00:00:00Z"}
    later = {"manager": "certmill", "operation": "Update", "fieldsV1": {}, "time": "2026-01-01T00:00:00Z"}
    view = secret_view(a_secret(managedFields=[entry, later]), manager=manager)

    assert (view.by_others, view.replaced) == (0, False)
    assert secret_view(
        a_secret(managedFields=[{**entry, "manager": "kubectl-edit"}, later]), manager=manager
    ).replaced


def test_an_issuer_without_a_kind_or_group_is_cert_managers_issuer():
    assert certificate_view(a_certificate(spec={"issuerRef": {"name": "prod"}})).issuer == (
        "prod",
        "Issuer",
        "cert-manager.io",
    )
    assert secret_view(a_secret(issuer=("prod", "", ""))).issuer == ("prod", "Issuer", "cert-manager.io")


def test_our_own_annotation_is_no_change_of_the_metadata_and_any_other_is():
    plain, ours, theirs, labelled = (
        certificate_view(a_certificate(**metadata)).metadata
        for metadata in (
            {},
            {"annotations": {"certmill.io/next-attempt": "x"}},
            {"annotations": {"a": "b"}},
            {"labels": {"a": "b"}},
        )
    )

    assert plain == ours
    assert len({plain, theirs, labelled}) == 3


def test_a_secret_has_its_certificate_and_a_version_that_changes_with_it():
    view = secret_view(a_secret())

    assert view.certificate == "web"
    assert view.version != secret_view(a_secret(resourceVersion="2")).version
    assert view.version != secret_view(a_secret(uid="another")).version


def test_an_issuer_is_ready_or_not():
    assert issuer_view(an_issuer()).ready
    assert not issuer_view(an_issuer(ready=False)).ready


def shop(**metadata):
    """An Ingress that asks for a Certificate."""
    body = an_ingress("shop", "shop-tls")
    return body | {"metadata": body["metadata"] | metadata}


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"a": "b"}},
        {"annotations": {"cert-manager.io/cluster-issuer": "stage"}},
        {"annotations": {}},
        {"deletionTimestamp": "2027-01-01T00:00:00Z"},
    ],
)
def test_a_shim_changes_with_its_metadata(change):
    assert a_shim(shop()) != a_shim(shop(**change))


def test_a_shim_changes_with_its_tls_and_not_with_its_rules_or_status():
    before, meta = a_shim(shop()), {"resourceVersion": "2", "managedFields": []}
    spec = shop()["spec"]

    assert before == a_shim(
        shop(**meta) | {"spec": {**spec, "rules": [{"host": "a.example"}]}, "status": {"b": 2}}
    )
    assert before != a_shim(shop() | {"spec": {"tls": [{"hosts": ["b.example"], "secretName": "shop-tls"}]}})


def test_the_order_of_an_objects_fields_is_no_change():
    assert a_shim({"metadata": {}, "spec": {"a": 1, "b": 2}}) == a_shim(
        {"spec": {"b": 2, "a": 1}, "metadata": {}}
    )


def test_what_is_kept_of_an_object_is_small_whatever_anybody_writes_into_it():
    large, owner = (
        "x" * 200_000,
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "controller": True},
    )
    served = json.dumps({"for": {"a.example": {f"web-{number}": "token" for number in range(9_000)}}})
    server = {
        "metadata": meta("vs", "default"),
        "spec": {"host": "a.example", "tls": {"secret": large, "cert-manager": {"issuer": "prod"}}},
    }
    views = [
        certificate_view(
            a_certificate(
                spec={"secretName": large, "issuerRef": {"name": large, "kind": large, "group": large}}
            )
        ),
        certificate_view(a_certificate(ownerReferences=[owner | {"name": large, "uid": large}])),
        secret_view(a_secret(issuer=(large, large, large))),
        a_shim(
            an_ingress("shop", "shop-tls") | {"metadata": meta("shop", "default", annotations={NOTE: served})}
        ),
        shim_view(server, virtualserver.desired_by(server)),
    ]

    assert max(len(repr(view)) for view in views) < 5_000


@given(body=OBJECTS)
def test_any_object_can_be_stripped(body):
    for strip in (certificate_view, secret_view, issuer_view, a_shim):
        assert hash(strip(body)) is not None


def test_a_reference_is_what_a_task_takes():
    assert ReconcileRequest(kind="Certificate", namespace="default", name="web").reference == "default/web"
    assert ReconcileRequest(kind="ClusterIssuer", namespace="", name="prod").reference == "prod"
