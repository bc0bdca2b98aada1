"""What both shims do with the Certificates that are there: create, update, delete, or leave alone."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.controller import ingress, virtualserver
from tests.unit.controller.objects import Api, a_virtual_server, an_ingress, is_empty, told

INGRESS = ingress.desired_by(an_ingress())


def test_a_certificate_that_is_not_there_is_created_and_reported():
    todo = Api().plan(INGRESS)

    assert [write.name for write in todo.create] == ["cafe-secret"]
    assert told(todo) == [("Normal", "CreateCertificate", 'Successfully created Certificate "cafe-secret"')]


def test_a_certificate_is_owned_by_what_it_was_made_for():
    (write,) = Api().plan(INGRESS).create

    assert write.document["apiVersion"] == "cert-manager.io/v1"
    assert write.document["kind"] == "Certificate"
    assert write.document["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "name": "cafe-ingress",
            "uid": "ingress-uid",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_a_certificate_that_is_right_is_not_written():
    api = Api()
    api.apply(INGRESS)

    assert is_empty(api.plan(INGRESS))
    assert told(api.plan(INGRESS)) == []


def test_an_update_is_the_existing_object_with_our_fields_in_it():
    api = Api()
    api.apply(INGRESS)

    def change(document):
        document["metadata"] |= {"annotations": {"note": "mine"}, "finalizers": ["a/b"], "generation": 7}
        document["spec"]["commonName"] = "other.example.com"
        document["status"] = {"revision": 3}

    api.edit("cafe-secret", change)
    before = copy.deepcopy(api.documents["cafe-secret"])
    (write,) = api.plan(INGRESS).update

    assert write.document["metadata"] == before["metadata"]
    assert write.document["status"] == {"revision": 3}
    assert "commonName" not in write.document["spec"]
    assert write.done.message == 'Successfully updated Certificate "cafe-secret"'
    assert api.documents["cafe-secret"] == before


def test_labels_that_are_not_the_owners_are_taken_away_again():
    api = Api()
    api.apply(INGRESS)
    api.edit("cafe-secret", lambda document: document["metadata"].update(labels={"mine": "yes"}))
    api.apply(INGRESS)

    assert "labels" not in api.documents["cafe-secret"]["metadata"]
    assert is_empty(api.plan(INGRESS))


@pytest.mark.parametrize(
    "owners", [[], [{"kind": "Ingress", "name": "other", "uid": "x", "controller": True}]]
)
def test_a_certificate_of_another_is_never_touched_and_that_is_reported(owners):
    api = Api(
        {
            "metadata": {"name": "cafe-secret", "namespace": "shop", "ownerReferences": owners},
            "spec": {"secretName": "cafe-secret"},
        },
        {
            "metadata": {"name": "left", "namespace": "shop", "ownerReferences": owners},
            "spec": {"secretName": "left"},
        },
    )
    todo = api.plan(INGRESS)

    assert is_empty(todo)
    assert told(todo) == [
        (
            "Warning",
            "BadConfig",
            (
                'Certificate "cafe-secret" is there already and does not belong to this Ingress; it is left '
                "as it is"
            ),
        )
    ]


def test_an_owner_that_is_not_the_controller_owns_nothing():
    owner = {"kind": "Ingress", "name": "cafe-ingress", "uid": "ingress-uid"}
    api = Api(
        {
            "metadata": {"name": "left", "namespace": "shop", "ownerReferences": [owner]},
            "spec": {"secretName": "left"},
        }
    )

    assert api.plan(INGRESS).delete == ()


def test_what_a_former_owner_of_the_same_name_left_is_not_touched_and_not_reported():
    api = Api()
    api.apply(ingress.desired_by(an_ingress(uid="former-uid")))

    assert api.plan(INGRESS).events == ()
    assert is_empty(api.plan(INGRESS))


def test_a_certificate_that_is_being_deleted_is_left_alone():
    api = Api()
    api.apply(INGRESS)

    def delete(document):
        document["metadata"]["deletionTimestamp"] = "2026-11-26T00:00:00Z"
        document["spec"]["secretName"] = "other"

    api.edit("cafe-secret", delete)

    assert is_empty(api.plan(INGRESS))
    assert is_empty(api.plan(ingress.desired_by(an_ingress(tls=[]))))


def test_an_own_certificate_is_deleted_when_its_secret_is_not_named_any_more():
    api = Api()
    api.apply(INGRESS)
    todo = api.plan(
        ingress.desired_by(an_ingress(tls=[{"hosts": ["cert.example.com"], "secretName": "new-secret"}]))
    )

    assert [(one.name, one.uid, one.resource_version) for one in todo.delete] == [
        ("cafe-secret", "uid-1", "1")
    ]
    assert told(todo) == [
        ("Normal", "CreateCertificate", 'Successfully created Certificate "new-secret"'),
        ("Normal", "DeleteCertificate", 'Successfully deleted unrequired Certificate "cafe-secret"'),
    ]


def test_an_own_certificate_whose_secret_was_edited_is_repaired_and_not_deleted():
    api = Api()
    api.apply(INGRESS)
    api.edit("cafe-secret", lambda document: document["spec"].update(secretName="elsewhere"))
    todo = api.apply(INGRESS)

    assert todo.delete == ()
    assert api.documents["cafe-secret"]["spec"]["secretName"] == "cafe-secret"


def test_a_certificate_in_another_namespace_does_not_count():
    elsewhere = copy.deepcopy(Api().plan(INGRESS).create[0].document)
    elsewhere["metadata"]["namespace"] = "other"

    assert [write.name for write in Api(elsewhere).plan(INGRESS).create] == ["cafe-secret"]


def test_a_write_that_the_api_refuses_is_reported_as_bad_config():
    (created,) = Api().plan(INGRESS).create
    event = created.refused(INGRESS.owner, "spec.duration: must be at least 1h")

    assert (event.type, event.reason) == ("Warning", "BadConfig")
    assert (
        event.message == "Error issuing Certificate for Ingress resource: spec.duration: must be at least 1h"
    )


NAMES = st.lists(
    st.sampled_from(["a.example.com", "b.example.com", "*.example.com", "192.0.2.1"]), max_size=3
)
SECRETS = st.sampled_from(["one", "two", "three", ""])
ENTRIES = st.lists(st.fixed_dictionaries({"hosts": NAMES, "secretName": SECRETS}), max_size=4)
PAIRS = st.dictionaries(st.sampled_from(["team", "tier"]), st.sampled_from(["x", "y"]))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "cert-manager.io/duration": st.sampled_from(["24h", "1h30m", "90m", "junk"]),
        "cert-manager.io/renew-before": st.sampled_from(["30m", "0.5h"]),
        "cert-manager.io/private-key-algorithm": st.sampled_from(["RSA", "ECDSA", "Ed25519"]),
        "cert-manager.io/private-key-size": st.sampled_from(["2048", "256", "384"]),
        "cert-manager.io/revision-history-limit": st.sampled_from(["1", "7"]),
        "cert-manager.io/issuer-kind": st.just("Issuer"),
        "cert-manager.io/issue-temporary-certificate": st.just("true"),
        "acme.cert-manager.io/http01-edit-in-place": st.sampled_from(["true", "false"]),
        "acme.cert-manager.io/http01-ingress-class": st.just("nginx"),
        "acme.cert-manager.io/http01-ingress-ingressclassname": st.just("nginx"),
    },
)
INGRESSES = st.builds(
    lambda annotations, labels, tls: an_ingress(annotations=annotations, labels=labels, tls=tls),
    OPTIONS,
    PAIRS,
    ENTRIES,
)
SERVERS = st.builds(
    lambda labels, host, asked: a_virtual_server(labels=labels, host=host, **asked),
    PAIRS,
    st.sampled_from(["a.example.com", "b.example.com"]),
    st.fixed_dictionaries(
        {"issuer": st.sampled_from(["a", "b"])},
        optional={
            "duration": st.sampled_from(["24h", "x"]),
            "issue_temp_cert": st.booleans(),
            "common_name": st.just("a.example.com"),
        },
    ),
)


@given(
    st.lists(
        st.one_of(INGRESSES.map(ingress.desired_by), SERVERS.map(virtualserver.desired_by)),
        min_size=1,
        max_size=4,
    )
)
def test_once_a_plan_is_done_there_is_nothing_to_do(history):
    api = Api()
    for desired in history:
        api.apply(desired)

        assert is_empty(api.plan(desired))
