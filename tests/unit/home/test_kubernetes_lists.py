"""Lists of the API server are read page by page: what a tenant may fill a namespace with is not in a worker's
memory all at once."""

from __future__ import annotations

from certmill.home.kubernetes.home import KubernetesHome
from certmill.http01.kubernetes_routes import KubernetesRoutes
from certmill.kube.client import Listing
from certmill.testing.clock import FakeClock

SPEC = {
    "acme": {
        "server": "https://ca.test/dir",
        "privateKeySecretRef": {"name": "key"},
        "solvers": [{"http01": {"ingress": {}}}],
    }
}
LED = {"labels": {"acme.cert-manager.io/http01-solver": "true"}}


class Pages:
    """A KubeClient with three pages of one object each, that knows how many were asked for."""

    def __init__(self, **metadata):
        self.asked = 0
        self._metadata = metadata
        self.deleted = []

    def pages(self, resource, namespace="", **options):
        for number in range(3):
            self.asked += 1
            item = {
                "metadata": {"name": f"one-{number}", "namespace": namespace, **self._metadata},
                "spec": SPEC,
            }
            yield Listing(items=(item,), resource_version="1")

    def delete(self, resource, namespace, name):
        self.deleted.append(name)


def test_issuers_are_read_a_page_at_a_time():
    client = Pages()
    home = KubernetesHome(client, cluster_resource_namespace="cert-manager", clock=FakeClock(0.0))

    assert next(home.issuers("default")).name == "one-0"
    assert client.asked == 1


def test_whether_a_route_is_needed_is_known_from_the_first_ingress_that_needs_it():
    client = Pages(**LED)

    KubernetesRoutes(client, lambda: ("192.0.2.1",), 8089).cleanup("default/web", "a.example", "own")

    assert client.asked == 1
    assert len(client.deleted) == 1
