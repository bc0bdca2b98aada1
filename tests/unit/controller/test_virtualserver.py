"""A VirtualServer: the same Certificate, compared in the same way, as NGINX's own -enable-cert-manager."""

from __future__ import annotations

import pytest

from certmill.controller.virtualserver import desired_by
from tests.unit.controller.objects import Api, a_virtual_server, is_empty, told


def certificate(**cert_manager):
    (one,) = desired_by(a_virtual_server(**cert_manager)).desired
    return one.document


def only_warning(server):
    desired = desired_by(server)
    assert desired.desired == ()
    assert desired.secret_names is None
    (event,) = desired.events
    assert (event.type, event.reason) == ("Warning", "BadConfig")
    return event.message


def of_nginx(**spec):
    """What NGINX writes for the tutorial's VirtualServer, as the API server keeps it."""
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {
            "name": "cafe-secret",
            "namespace": "shop",
            "uid": "cert-uid",
            "resourceVersion": "5",
            "ownerReferences": [
                {
                    "apiVersion": "k8s.nginx.org/v1",
                    "kind": "VirtualServer",
                    "name": "cafe",
                    "uid": "vs-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "dnsNames": ["cert.example.com"],
            "secretName": "cafe-secret",
            "issuerRef": {"kind": "ClusterIssuer", "name": "prod-issuer"},
            "usages": ["digital signature", "key encipherment"],
        }
        | spec,
    }


def test_the_certificate_is_field_for_field_the_one_that_nginx_makes():
    made = of_nginx()
    made["metadata"] = {
        key: value for key, value in made["metadata"].items() if key not in ("uid", "resourceVersion")
    }

    assert certificate() == made


def test_what_nginx_has_made_needs_nothing():
    todo = Api(of_nginx()).plan(desired_by(a_virtual_server()))

    assert is_empty(todo)
    assert told(todo) == []


def test_every_field_is_written_as_nginx_writes_it():
    found = certificate(
        issuer="ca",
        issuer_kind="AWSPCAIssuer",
        issuer_group="awspca.cert-manager.io",
        common_name="cert.example.com",
        duration="2160h",
        renew_before="30m",
        usages="digital signature, server auth",
        issue_temp_cert=True,
    )

    assert found["spec"] == {
        "commonName": "cert.example.com",
        "dnsNames": ["cert.example.com"],
        "secretName": "cafe-secret",
        "issuerRef": {"name": "ca", "kind": "AWSPCAIssuer", "group": "awspca.cert-manager.io"},
        "duration": "2160h0m0s",
        "renewBefore": "30m0s",
        "usages": ["digital signature", "server auth"],
    }
    assert found["metadata"]["annotations"] == {"cert-manager.io/issue-temporary-certificate": "true"}


def test_an_issuer_is_of_the_kind_issuer_and_its_group_is_left_empty():
    assert certificate(issuer="ca")["spec"]["issuerRef"] == {"name": "ca", "kind": "Issuer"}


def test_labels_are_copied_all_of_them():
    labels = {"team": "shop", "applyset.kubernetes.io/part-of": "x"}
    (one,) = desired_by(a_virtual_server(labels=labels)).desired

    assert one.document["metadata"]["labels"] == labels


@pytest.mark.parametrize(
    "tls", [{}, {"secret": "cafe-secret"}, {"secret": "cafe-secret", "cert-manager": None}]
)
def test_without_tls_or_cert_manager_in_it_nothing_is_done(tls):
    server = a_virtual_server()
    server["spec"]["tls"] = tls

    assert is_empty(Api(of_nginx()).plan(desired_by(server)))
    assert desired_by(server).events == ()


def test_a_virtual_server_that_is_being_deleted_gets_nothing_done():
    server = a_virtual_server()
    server["metadata"]["deletionTimestamp"] = "2026-11-26T00:00:00Z"

    assert desired_by(server).desired == ()


@pytest.mark.parametrize(
    ("asked", "mistake"),
    [
        (
            {"issuer": "a", "cluster_issuer": "b"},
            'both "tls.cert-manager.issuer" and "tls.cert-manager.cluster-issuer" may not be set',
        ),
        (
            {"cluster_issuer": "b", "issuer_group": "g"},
            'both "tls.cert-manager.cluster-issuer" and "tls.cert-manager.issuer-group" may not be set',
        ),
        (
            {"cluster_issuer": "b", "issuer_kind": "k"},
            'both "tls.cert-manager.cluster-issuer" and "tls.cert-manager.issuer-kind" may not be set',
        ),
        ({"common_name": "x"}, "failed to determine Issuer name to be used for VirtualServer resource"),
    ],
)
def test_an_issuer_in_conflict_or_none_is_bad_config(asked, mistake):
    assert (
        only_warning(a_virtual_server(**asked))
        == f"Could not determine issuer for virtual server due to bad config: {mistake}"
    )


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"duration": "90d"}, "tls.cert-manager.duration"),
        ({"renew_before": "soon"}, "tls.cert-manager.renew-before"),
        ({"usages": "telepathy"}, "tls.cert-manager.usages"),
    ],
)
def test_a_bad_value_is_bad_config_that_names_the_field(asked, field):
    message = only_warning(a_virtual_server(issuer="a", **asked))

    assert message.startswith(f"Incorrect cert-manager configuration for VirtualServer resource: {field}: ")


def test_no_host_or_no_secret_is_bad_config():
    assert "host: is required" in only_warning(a_virtual_server(host=""))
    assert "tls.secret: is required" in only_warning(a_virtual_server(tls={"cert-manager": {"issuer": "a"}}))


@pytest.mark.parametrize(
    "server",
    [
        a_virtual_server(labels={"team": "shop"}),
        a_virtual_server(cluster_issuer="prod-issuer", common_name="cert.example.com"),
        a_virtual_server(host="other.example.com"),
        a_virtual_server(cluster_issuer="other"),
        a_virtual_server(issuer="prod-issuer"),
    ],
    ids=["labels", "common name", "names", "name of the issuer", "kind of the issuer"],
)
def test_a_change_of_what_nginx_compares_is_an_update(server):
    api = Api(of_nginx())
    todo = api.apply(desired_by(server))

    assert told(todo) == [("Normal", "UpdateCertificate", 'Successfully updated Certificate "cafe-secret"')]
    assert todo.update[0].document["metadata"]["resourceVersion"] == "5"
    assert is_empty(api.plan(desired_by(server)))


@pytest.mark.parametrize(
    "asked",
    [{"duration": "24h"}, {"renew_before": "1h"}, {"usages": "server auth"}, {"issue_temp_cert": True}],
    ids=lambda asked: next(iter(asked)),
)
def test_what_nginx_does_not_compare_is_no_update(asked):
    api = Api(of_nginx())

    assert is_empty(api.plan(desired_by(a_virtual_server(cluster_issuer="prod-issuer", **asked))))


def test_the_order_of_the_names_is_compared():
    api = Api(of_nginx(dnsNames=["cert.example.com", "b.example.com"]))

    assert len(api.plan(desired_by(a_virtual_server())).update) == 1


def test_an_update_leaves_the_annotations_as_they_are():
    there = of_nginx(commonName="x.example.com")
    there["metadata"]["annotations"] = {"cert-manager.io/issue-temporary-certificate": "true", "note": "mine"}
    (write,) = Api(there).plan(desired_by(a_virtual_server())).update

    assert write.document["metadata"]["annotations"] == there["metadata"]["annotations"]


def test_its_certificate_for_a_former_secret_is_deleted():
    there = of_nginx(secretName="old-secret")
    there["metadata"]["name"] = "old-secret"
    todo = Api(there).plan(desired_by(a_virtual_server()))

    assert told(todo) == [
        ("Normal", "CreateCertificate", 'Successfully created Certificate "cafe-secret"'),
        ("Normal", "DeleteCertificate", 'Successfully deleted unrequired Certificate "old-secret"'),
    ]


def test_a_certificate_that_it_does_not_own_is_left_alone():
    there = of_nginx()
    there["metadata"]["ownerReferences"] = []
    todo = Api(there).plan(desired_by(a_virtual_server(cluster_issuer="other")))

    assert is_empty(todo)
    assert [event.reason for event in todo.events] == ["BadConfig"]
