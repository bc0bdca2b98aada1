from __future__ import annotations

import pytest

from certmill.errors import Forbidden
from certmill.http01.kubernetes_routes import KubernetesRoutes
from certmill.kube.answers import NotServed
from certmill.kube.resources import CERTIFICATES, VIRTUAL_SERVERS
from tests.support.builders import a_certificate

WEB = a_certificate()
REDIRECTING = {"spec": {"tls": {"redirect": {"enable": True}}}}


class Cluster:
    """A KubeClient over one Certificate, with this owner, and what it answers for VirtualServers."""

    def __init__(self, answer, *, api_version=VIRTUAL_SERVERS.api_version, controller=True):
        self._answer = answer
        self._owner = {
            "apiVersion": api_version,
            "kind": "VirtualServer",
            "name": "cafe",
            "uid": "u",
            "controller": controller,
        }

    def get(self, resource, namespace, name):
        if resource is CERTIFICATES:
            return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": [self._owner]}}
        assert (resource, namespace, name) == (VIRTUAL_SERVERS, "default", "cafe")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def redirects(cluster):
    return KubernetesRoutes(cluster, tuple, 8089).redirects(WEB)


def test_a_certificate_of_a_virtual_server_that_redirects_is_known():
    assert redirects(Cluster(REDIRECTING))


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"spec": {"tls": {"redirect": {"enable": "true"}}}}, Forbidden("no role"), NotServed("404")],
)
def test_a_virtual_server_that_cannot_be_read_is_none_that_redirects(answer):
    assert not redirects(Cluster(answer))


@pytest.mark.parametrize("owner", [{"api_version": "cis.f5.com/v1"}, {"controller": False}])
def test_another_owner_is_not_asked(owner):
    assert not redirects(Cluster(NotServed("404"), **owner))
