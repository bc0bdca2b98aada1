"""The way of the CA's request to the responder while others change it in the same moment: against the real
API server."""

from __future__ import annotations

import pytest

from certmill.errors import SolverMisconfigured
from certmill.http01.edit_in_place import certificates_served
from certmill.http01.kubernetes_routes import KubernetesRoutes
from certmill.kube.resources import CERTIFICATES, ENDPOINT_SLICES, INGRESSES, SERVICES, VIRTUAL_SERVERS
from certmill.model.issuer import Http01Solver
from certmill.model.manifests.parse import certificate_document, parse_certificate
from tests.support.builders import a_certificate
from tests.support.cluster import client_of
from tests.support.virtual_servers import serve_virtual_servers

SOLVER = Http01Solver(ingress_class_name="nginx")


class Interrupted:
    """A client during whose deletion of a Service, or change of an Ingress's owners, something else happens
    first."""

    def __init__(self, client, happens):
        self._client, self._happens = client, [happens]

    def __getattr__(self, name):
        return getattr(self._client, name)

    def delete(self, resource, *names, **options):
        if resource is SERVICES and self._happens:
            self._happens.pop()()
        return self._client.delete(resource, *names, **options)

    def merge(self, resource, *names, **options):
        if resource is INGRESSES and self._happens:
            self._happens.pop()()
        return self._client.merge(resource, *names, **options)


@pytest.fixture
def client(kube):
    return client_of(kube)


def routes_of(client):
    return KubernetesRoutes(client, lambda: ["192.0.2.80"], 8089)


def stored(client, namespace, name):
    body = certificate_document(a_certificate(namespace=namespace, name=name))
    return parse_certificate(client.apply(CERTIFICATES, body), source="")


def test_a_challenge_that_begins_during_a_clean_up_keeps_its_route(client, namespace):
    """Another worker has seen the Service, and makes its Ingress when this one has seen that nobody needs the
    Service."""
    one, other = stored(client, namespace, "one"), stored(client, namespace, "other")
    routes_of(client).present(one, "one.example.test", "one", SOLVER)
    interrupted = routes_of(
        Interrupted(client, lambda: routes_of(client).present(other, "other.example.test", "other", SOLVER))
    )

    interrupted.cleanup(one.id, "one.example.test", interrupted.route_name(one, SOLVER))

    (ingress,) = client.list(INGRESSES, namespace).items
    assert ingress["spec"]["rules"][0]["host"] == "other.example.test"
    assert client.get(SERVICES, namespace, "certmill-http01") is not None
    assert [one["endpoints"][0]["addresses"] for one in client.list(ENDPOINT_SLICES, namespace).items] == [
        ["192.0.2.80"]
    ]

    routes_of(client).cleanup(other.id, "other.example.test", interrupted.route_name(other, SOLVER))

    assert [
        client.list(resource, namespace).items for resource in (INGRESSES, SERVICES, ENDPOINT_SLICES)
    ] == [(), (), ()]


def an_ingress(namespace):
    """The user's, of two hosts."""
    paths = [
        {
            "path": "/tea",
            "pathType": "Prefix",
            "backend": {"service": {"name": "tea-svc", "port": {"number": 80}}},
        }
    ]
    rules = [{"host": host, "http": {"paths": paths}} for host in ("one.example.test", "other.example.test")]
    metadata = {"name": "shop", "namespace": namespace}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {"rules": rules},
    }


def test_routes_without_a_run_are_removed_and_others_stay(client, namespace):
    routes, in_place = routes_of(client), Http01Solver(ingress_name="shop")
    one, other = stored(client, namespace, "one"), stored(client, namespace, "other")
    before = client.create(INGRESSES, an_ingress(namespace))["spec"]
    for certificate, host in ((one, "one.example.test"), (other, "other.example.test")):
        routes.present(certificate, host, certificate.name, in_place)
    routes.present(one, "one.example.test", "one", SOLVER)
    led = [body["metadata"]["name"] for body in client.list(INGRESSES, namespace).items]
    assert len(led) == 2

    for name in led:
        routes.collect_orphans(namespace, name, lambda certificate: certificate == one.id)

    (ingress,) = client.list(INGRESSES, namespace).items
    assert certificates_served(ingress) == {"other"}
    assert client.get(SERVICES, namespace, "certmill-http01") is not None

    routes.collect_orphans(namespace, "shop", lambda certificate: True)

    assert client.get(INGRESSES, namespace, "shop")["spec"] == before
    assert client.get(SERVICES, namespace, "certmill-http01") is None
    routes.collect_orphans(namespace, "nowhere", lambda certificate: True)


def applied(kube, manifest):
    """The answer to kubectl apply --server-side, as to Helm: not by force."""
    path = INGRESSES.path(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    return kube.api.request(
        "PATCH", f"{path}?fieldManager=helm", manifest, content_type="application/apply-patch+yaml"
    )


def test_a_server_side_apply_of_the_ingress_never_conflicts_with_us(kube, client, namespace):
    one, routes, in_place = (
        stored(client, namespace, "one"),
        routes_of(client),
        Http01Solver(ingress_name="shop"),
    )
    manifest = an_ingress(namespace)
    before = applied(kube, manifest).body["metadata"]["managedFields"]

    routes.present(one, "one.example.test", "one", in_place)
    assert client.get(INGRESSES, namespace, "shop")["metadata"]["managedFields"] == before
    manifest["spec"]["ingressClassName"] = "nginx"
    before = applied(kube, manifest).body["metadata"]["managedFields"]
    routes.present(one, "one.example.test", "one", in_place)
    routes.cleanup(one.id, "one.example.test", routes.route_name(one, in_place))

    assert client.get(INGRESSES, namespace, "shop")["metadata"]["managedFields"] == before
    manifest["spec"]["rules"] = manifest["spec"]["rules"][:1]
    assert applied(kube, manifest).body["spec"] == manifest["spec"]


def test_what_others_write_in_the_moment_of_an_edit_stays_theirs(kube, client, namespace):
    one, in_place = stored(client, namespace, "one"), Http01Solver(ingress_name="shop")
    applied(kube, an_ingress(namespace))

    def serves():
        path, status = (
            f"{INGRESSES.path(namespace, 'shop')}/status",
            {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        )
        merge = "application/merge-patch+json"
        assert kube.api.request(
            "PATCH", f"{path}?fieldManager=nginx", {"status": status}, content_type=merge
        ).is_ok

    routes_of(Interrupted(client, serves)).present(one, "one.example.test", "one", in_place)

    owners = {
        entry["manager"]: entry["fieldsV1"]
        for entry in client.get(INGRESSES, namespace, "shop")["metadata"]["managedFields"]
    }
    assert owners.keys() == {"helm", "nginx"}
    assert owners["helm"] == {"f:spec": {"f:rules": {}}}


def test_a_master_of_mergeable_ingresses_is_not_edited_as_nginx_would_refuse_it(client, namespace):
    """NGINX takes a master with no path only."""
    master = an_ingress(namespace) | {"spec": {"rules": [{"host": "one.example.test"}]}}
    master["metadata"]["annotations"] = {"nginx.org/mergeable-ingress-type": "master"}
    client.create(INGRESSES, master)

    with pytest.raises(SolverMisconfigured, match=r"is a master .*: minion"):
        routes_of(client).present(
            stored(client, namespace, "one"), "one.example.test", "one", Http01Solver(ingress_name="shop")
        )

    assert client.get(INGRESSES, namespace, "shop")["spec"] == master["spec"]


@pytest.mark.parametrize(
    ("tls", "owned", "expected"),
    [
        ({"redirect": {"enable": True}}, True, True),
        ({"redirect": {"enable": False}}, True, False),
        ({"redirect": {}}, True, False),
        ({}, True, False),
        ({"redirect": {"enable": True}}, False, False),
    ],
)
def test_a_certificate_of_a_virtual_server_that_redirects_is_known_by_its_owner(
    kube, client, namespace, tls, owned, expected
):
    """Whoever made the Certificate: NGINX makes it itself with -enable-cert-manager."""
    serve_virtual_servers(kube)
    spec = {"host": "one.example.test", "tls": {"secret": "one-tls"} | tls}
    body = {
        "apiVersion": "k8s.nginx.org/v1",
        "kind": "VirtualServer",
        "metadata": {"name": "vs", "namespace": namespace},
        "spec": spec,
    }
    uid = client.create(VIRTUAL_SERVERS, body)["metadata"]["uid"]
    certificate = certificate_document(a_certificate(namespace=namespace, name="one"))
    owner = {
        "apiVersion": "k8s.nginx.org/v1",
        "kind": "VirtualServer",
        "name": "vs",
        "uid": uid,
        "controller": True,
    }
    certificate["metadata"]["ownerReferences"] = [owner] if owned else []

    found = parse_certificate(client.apply(CERTIFICATES, certificate), source="")

    assert routes_of(client).redirects(found) is expected
