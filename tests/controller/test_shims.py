"""The Certificates of annotated Ingresses and of VirtualServers on a real API server: made, changed, deleted,
and left alone."""

from __future__ import annotations

import pytest

from certmill.controller import changes, ingress, virtualserver
from certmill.controller.ingress import NO_DEFAULT
from certmill.controller.shims import ShimReconciler
from certmill.controller.views import shim_view
from certmill.home.kubernetes.events import KubernetesEvents
from certmill.kube.objects import meta_of
from certmill.kube.resources import CERTIFICATES, EVENTS, INGRESSES, VIRTUAL_SERVERS
from certmill.testing.clock import FakeClock
from tests.support.cluster import client_of
from tests.support.virtual_servers import serve_virtual_servers

HOUR = 3600.0


class Shop:
    """A namespace with one Ingress or VirtualServer at a time, and the shims that look at it."""

    def __init__(self, client, namespace):
        self.client, self.namespace, self.clock = client, namespace, FakeClock()
        self.shims = ShimReconciler(client, KubernetesEvents(client, self.clock), NO_DEFAULT)
        self.seen = None

    def apply(self, resource, name, spec, annotations=None, labels=None):
        metadata = {
            "name": name,
            "namespace": self.namespace,
            "annotations": annotations or {},
            "labels": labels or {},
        }
        self.client.apply(
            resource,
            {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec},
            manager="kubectl",
        )
        body = self.client.get(resource, self.namespace, name)
        wishes = (
            ingress.desired_by(body, NO_DEFAULT) if resource is INGRESSES else virtualserver.desired_by(body)
        )
        before, self.seen = self.seen, shim_view(body, wishes)
        for look in changes.of_shim(resource.kind, before, self.seen):
            self.shims.reconcile(look.kind, look.reference, look.left)
        return self

    def ingress(self, *tls, labels=None, **annotations):
        """Apply the Ingress with these (secret name, host) pairs, and look at it as the controller has it
        looked at."""
        every = {"cert-manager.io/cluster-issuer": "prod"} | {
            f"cert-manager.io/{name.replace('_', '-')}": v for name, v in annotations.items()
        }
        annotations = {name: value for name, value in every.items() if value is not None}
        spec = {
            "ingressClassName": "nginx",
            "tls": [{"secretName": secret, "hosts": [host]} for secret, host in tls],
        }
        return self.apply(
            INGRESSES, "cafe", spec | {"rules": [{"host": "a.example.test"}]}, annotations, labels
        )

    def virtual_server(self, secret="cafe-tls", host="a.example.test", labels=None, **asked):
        """Apply the VirtualServer, and look at it."""
        asked = {name.replace("_", "-"): value for name, value in asked.items()} or {"cluster-issuer": "prod"}
        return self.apply(
            VIRTUAL_SERVERS,
            "cafe",
            {"host": host, "tls": {"secret": secret, "cert-manager": asked}},
            labels=labels,
        )

    def look(self, resource, name="cafe", left=()):
        self.shims.reconcile(resource.kind, f"{self.namespace}/{name}", left)
        return self

    def certificate(self, name="cafe-tls"):
        return self.client.get(CERTIFICATES, self.namespace, name)

    def version(self, name="cafe-tls"):
        return meta_of(self.certificate(name)).resource_version

    def names(self):
        return sorted(meta_of(body).name for body in self.client.list(CERTIFICATES, self.namespace).items)

    def told(self):
        """(type, reason, message, count) of the events of the object."""
        found = [
            body
            for body in self.client.list(EVENTS, self.namespace).items
            if body["involvedObject"]["name"] == "cafe"
        ]
        return sorted((one["type"], one["reason"], one["message"], one["count"]) for one in found)


class AsksOnly:
    """A client that can read single objects, and notes which."""

    def __init__(self, client, asked):
        self._client, self._asked = client, asked

    def get(self, resource, namespace, name):
        self._asked.append(("get", name))
        return self._client.get(resource, namespace, name)


class DeletesOnceRead:
    """A client under whose hands somebody deletes each Certificate that it has read."""

    def __init__(self, client):
        self._client = client
        self.update = client.update

    def get(self, resource, namespace, name):
        found = self._client.get(resource, namespace, name)
        if resource is CERTIFICATES:
            self._client.delete(resource, namespace, name)
        return found


@pytest.fixture(scope="module")
def client(kube):
    serve_virtual_servers(kube)
    return client_of(kube)


@pytest.fixture
def shop(client, namespace):
    return Shop(client, namespace)


def normal(verb, name="cafe-tls"):
    done = {"Create": "created", "Update": "updated", "Delete": "deleted unrequired"}[verb]
    return ("Normal", f"{verb}Certificate", f'Successfully {done} Certificate "{name}"', 1)


class TestIngress:
    def test_its_certificate_is_made_once_and_then_nothing_is_written(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"), labels={"team": "tea"})
        made = shop.certificate()
        assert made["metadata"]["labels"] == {"team": "tea"}
        assert made["spec"]["dnsNames"] == ["a.example.test"]
        assert made["spec"]["issuerRef"] == {
            "name": "prod",
            "kind": "ClusterIssuer",
            "group": "cert-manager.io",
        }
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("Ingress", "cafe", True)

        before = shop.version(), shop.told()
        for _ in range(3):
            shop.look(INGRESSES)

        assert (shop.version(), shop.told()) == before == (shop.version(), [normal("Create")])

    def test_a_changed_ingress_updates_the_certificate_and_keeps_what_others_set(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"), labels={"team": "tea"})
        shop.client.merge(
            CERTIFICATES, shop.namespace, "cafe-tls", {"metadata": {"annotations": {"note": "mine"}}}
        )

        shop.ingress(
            ("cafe-tls", "b.example.test"), labels={"team": "coffee"}, duration="720h", renew_before="240h"
        )

        made = shop.certificate()
        assert (made["spec"]["dnsNames"], made["metadata"]["labels"]) == (
            ["b.example.test"],
            {"team": "coffee"},
        )
        assert (made["spec"]["duration"], made["spec"]["renewBefore"]) == ("720h0m0s", "240h0m0s")
        assert made["metadata"]["annotations"] == {"note": "mine"}
        assert shop.told() == [normal("Create"), normal("Update")]

    def test_a_certificate_whose_secret_leaves_the_ingress_is_deleted_the_others_stay(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"), ("tea-tls", "b.example.test"))
        before = shop.version("tea-tls")

        shop.ingress(("tea-tls", "b.example.test"))

        assert shop.names() == ["tea-tls"]
        assert shop.version("tea-tls") == before
        assert normal("Delete") in shop.told()

    def test_a_certificate_that_seems_superfluous_stays_if_it_is_desired_or_not_ours(self, shop):
        spec = {
            "secretName": "theirs-tls",
            "dnsNames": ["theirs.example.test"],
            "issuerRef": {"name": "theirs"},
        }
        metadata = {"name": "theirs", "namespace": shop.namespace}
        shop.client.create(
            CERTIFICATES,
            {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "spec": spec},
        )
        shop.ingress(("cafe-tls", "a.example.test"))

        shop.look(INGRESSES, left=("cafe-tls", "theirs", "nowhere"))

        assert shop.names() == ["cafe-tls", "theirs"]

    def test_a_reconciliation_costs_no_list_of_the_namespace(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"), ("tea-tls", "b.example.test"))
        asked = []
        watched = AsksOnly(shop.client, asked)

        ShimReconciler(watched, KubernetesEvents(shop.client, shop.clock), NO_DEFAULT).reconcile(
            "Ingress", f"{shop.namespace}/cafe"
        )

        assert asked == [("get", "cafe"), ("get", "cafe-tls"), ("get", "tea-tls")]

    def test_a_certificate_deleted_in_mid_reconciliation_is_not_reported_as_updated(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"))
        shop.client.merge(
            CERTIFICATES, shop.namespace, "cafe-tls", {"spec": {"dnsNames": ["wrong.example.test"]}}
        )
        gone = DeletesOnceRead(shop.client)

        ShimReconciler(gone, KubernetesEvents(shop.client, shop.clock), NO_DEFAULT).reconcile(
            "Ingress", f"{shop.namespace}/cafe"
        )

        assert shop.names() == []
        assert shop.told() == [normal("Create")]

    def test_a_certificate_that_was_deleted_by_hand_is_made_again(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"))
        shop.client.delete(CERTIFICATES, shop.namespace, "cafe-tls")

        shop.look(INGRESSES)

        assert shop.names() == ["cafe-tls"]

    def test_a_certificate_of_another_owner_is_not_changed_and_an_event_says_so_hourly(self, shop):
        spec = {
            "secretName": "cafe-tls",
            "dnsNames": ["theirs.example.test"],
            "issuerRef": {"name": "theirs"},
        }
        metadata = {"name": "cafe-tls", "namespace": shop.namespace}
        shop.client.create(
            CERTIFICATES,
            {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "spec": spec},
        )
        before = shop.version()

        shop.ingress(("cafe-tls", "a.example.test"))
        for _ in range(3):
            shop.look(INGRESSES)
        shop.ingress()

        assert shop.version() == before
        ((kind, reason, message, count),) = shop.told()
        assert (kind, reason, count) == ("Warning", "BadConfig", 1)
        assert message.startswith(
            'Certificate "cafe-tls" is there already and does not belong to this Ingress'
        )

    def test_a_mistake_is_reported_once_an_hour_however_often_it_is_reconciled(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"), issuer="also")
        for _ in range(3):
            shop.look(INGRESSES)

        message = (
            "Could not determine issuer for ingress due to bad annotations: "
            'both "cert-manager.io/issuer" and "cert-manager.io/cluster-issuer" may not be set'
        )
        assert shop.told() == [("Warning", "BadConfig", message, 1)]
        assert shop.names() == []
        shop.clock.advance(HOUR + 1)
        shop.look(INGRESSES)
        assert shop.told() == [("Warning", "BadConfig", message, 2)]

    def test_a_later_conflict_does_not_change_the_certificate(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"))
        before = shop.version()

        shop.ingress(("cafe-tls", "b.example.test"), issuer_kind="Issuer")

        assert shop.version() == before

    def test_an_ingress_without_its_annotation_keeps_its_certificate(self, shop):
        shop.ingress(("cafe-tls", "a.example.test"))
        before = shop.version()

        shop.ingress(("cafe-tls", "b.example.test"), cluster_issuer=None)

        assert shop.version() == before


class TestVirtualServer:
    def nginx_makes(self, shop, **metadata):
        """The request of its controller (buildCertificates in internal/certmanager/sync.go) for the
        VirtualServer, as Go writes it."""
        uid = meta_of(shop.client.get(VIRTUAL_SERVERS, shop.namespace, "cafe")).uid
        owner = {"apiVersion": "k8s.nginx.org/v1", "kind": "VirtualServer", "name": "cafe", "uid": uid}
        owner |= {"controller": True, "blockOwnerDeletion": True}
        body = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate"}
        body["metadata"] = {
            "name": "cafe-tls",
            "namespace": shop.namespace,
            "creationTimestamp": None,
            "ownerReferences": [owner],
        } | metadata
        body["spec"] = {
            "secretName": "cafe-tls",
            "dnsNames": ["a.example.test"],
            "issuerRef": {"name": "prod", "kind": "ClusterIssuer"},
            "usages": ["digital signature", "key encipherment"],
        }
        return body | {"status": {}}

    def applied(self, shop, labels=None):
        """The VirtualServer, before anybody looked at it."""
        metadata = {"name": "cafe", "namespace": shop.namespace} | ({"labels": labels} if labels else {})
        spec = {
            "host": "a.example.test",
            "tls": {"secret": "cafe-tls", "cert-manager": {"cluster-issuer": "prod"}},
        }
        body = {"apiVersion": "k8s.nginx.org/v1", "kind": "VirtualServer", "metadata": metadata, "spec": spec}
        shop.client.create(VIRTUAL_SERVERS, body)

    @pytest.mark.parametrize("labels", [None, {"team": "tea"}])
    def test_where_nginx_has_made_the_certificate_nothing_is_written_or_reported(self, shop, labels):
        self.applied(shop, labels)
        shop.client.create(CERTIFICATES, self.nginx_makes(shop, **({"labels": labels} if labels else {})))
        before = shop.version()

        for _ in range(3):
            shop.look(VIRTUAL_SERVERS)

        assert (shop.version(), shop.told()) == (before, [])

    def test_what_we_make_is_the_object_that_nginx_makes(self, shop):
        self.applied(shop)
        theirs = self.nginx_makes(shop)

        shop.look(VIRTUAL_SERVERS)

        ours = shop.certificate()
        assert ours["spec"] == theirs["spec"]
        assert ours["metadata"]["ownerReferences"] == theirs["metadata"]["ownerReferences"]
        assert "labels" not in ours["metadata"]
        assert "annotations" not in ours["metadata"]
        assert shop.told() == [normal("Create")]

    def test_a_change_updates_the_certificate_and_another_secret_name_deletes_it(self, shop):
        shop.virtual_server()
        shop.virtual_server(host="b.example.test", labels={"team": "tea"})
        made = shop.certificate()
        assert (made["spec"]["dnsNames"], made["metadata"]["labels"]) == (["b.example.test"], {"team": "tea"})

        shop.virtual_server(secret="other-tls", host="b.example.test")

        assert shop.names() == ["other-tls"]
        assert shop.told() == [
            normal("Create"),
            normal("Create", "other-tls"),
            normal("Delete"),
            normal("Update"),
        ]

    def test_a_conflict_is_reported_and_nothing_is_made(self, shop):
        shop.virtual_server(issuer="a", cluster_issuer="b")
        shop.look(VIRTUAL_SERVERS)

        ((kind, reason, message, count),) = shop.told()
        assert (kind, reason, count) == ("Warning", "BadConfig", 1)
        assert message.endswith(
            'both "tls.cert-manager.issuer" and "tls.cert-manager.cluster-issuer" may not be set'
        )
        assert shop.names() == []

    def test_without_tls_its_certificate_is_left_alone(self, shop):
        shop.virtual_server()
        before = shop.version()

        shop.apply(VIRTUAL_SERVERS, "cafe", {"host": "a.example.test"})

        assert shop.version() == before

    @pytest.mark.parametrize("secret", ["cafe/tls", "Cafe_TLS"])
    def test_a_secret_name_that_is_no_certificate_name_is_reported(self, shop, secret):
        shop.virtual_server(secret=secret)

        ((kind, reason, message, _),) = shop.told()
        assert (kind, reason) == ("Warning", "BadConfig")
        assert message.startswith("Error issuing Certificate for VirtualServer resource: ")
        assert shop.names() == []
