"""The way of the CA's request to the responder while others change it in the same moment: against the real API server."""

from __future__ import annotations

import pytest

from certmill.http01.exposure import KubernetesExposure
from certmill.kube.resources import CERTIFICATES, ENDPOINT_SLICES, INGRESSES, SERVICES
from certmill.model.issuer import Http01Solver
from certmill.model.manifests import certificate_document, parse_certificate
from tests.builders import a_certificate
from tests.cluster import client_of

SOLVER = Http01Solver(ingress_class_name="nginx")


class Interrupted:
    """A client during whose deletion of a Service something else happens first."""

    def __init__(self, client, happens):
        self._client, self._happens = client, [happens]

    def __getattr__(self, name):
        return getattr(self._client, name)

    def delete(self, resource, *names, **options):
        if resource is SERVICES and self._happens:
            self._happens.pop()()
        return self._client.delete(resource, *names, **options)


@pytest.fixture
def client(kube):
    return client_of(kube)


def exposure_of(client):
    return KubernetesExposure(client, lambda: ["192.0.2.80"], 8089)


def stored(client, namespace, name):
    body = certificate_document(a_certificate(namespace=namespace, name=name))
    return parse_certificate(client.apply(CERTIFICATES, body), source="")


def test_a_challenge_that_begins_while_the_last_one_is_cleared_up_keeps_its_way(client, namespace):
    """Another worker has seen the Service, and makes its Ingress when this one has seen that nobody needs the Service."""
    one, other = stored(client, namespace, "one"), stored(client, namespace, "other")
    exposure_of(client).open(one, "one.example.test", "one", SOLVER)
    interrupted = exposure_of(Interrupted(client, lambda: exposure_of(client).open(other, "other.example.test", "other", SOLVER)))

    interrupted.close(one.id, "one.example.test", interrupted.way(one, SOLVER))

    (ingress,) = client.list(INGRESSES, namespace).items
    assert ingress["spec"]["rules"][0]["host"] == "other.example.test"
    assert client.get(SERVICES, namespace, "certmill-http01") is not None
    assert [one["endpoints"][0]["addresses"] for one in client.list(ENDPOINT_SLICES, namespace).items] == [["192.0.2.80"]]

    exposure_of(client).close(other.id, "other.example.test", interrupted.way(other, SOLVER))

    assert [client.list(resource, namespace).items for resource in (INGRESSES, SERVICES, ENDPOINT_SLICES)] == [(), (), ()]
