"""The controller's watches and its Lease on a real API server."""

from __future__ import annotations

import pytest

from certmill.certificates import conditions
from certmill.clock import SystemClock
from certmill.controller.changes import ReconcileRequest
from certmill.controller.leader import LEASE_SECONDS, Leadership
from certmill.home.kubernetes.home import KubernetesHome
from certmill.kube.objects import mapping
from certmill.kube.resources import CERTIFICATES, LEASES
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.model.status import CertificateStatus
from certmill.renewal.observation import Violation, observe
from certmill.testing.clock import FakeClock
from tests.controller.watching import watching
from tests.support.builders import a_certificate, a_pair
from tests.support.cluster import client_of
from tests.support.waiting import until


@pytest.fixture
def controller(kube):
    with watching(client_of(kube)) as controller:
        yield controller


def looks(controller, namespace, *, expected):
    """What is told of this namespace, until this is."""
    told = []

    def is_told():
        told.extend(one for one in controller.take(100, seconds=0.1) if one.namespace == namespace)
        return expected in told

    until(is_told, what=lambda: f"{expected} was not told; {told} was")
    return told


def test_a_certificates_life_is_reported_and_our_own_writes_are_not(controller, kube, namespace):
    home = KubernetesHome(client_of(kube), cluster_resource_namespace="cert-manager", clock=SystemClock())
    web, later = (
        a_certificate(namespace=namespace),
        a_certificate(namespace=namespace, name="later", secret_name="later-tls"),
    )
    look_at = ReconcileRequest(kind="Certificate", namespace=namespace, name="web")
    until(lambda: controller.synced, what="not everything was listed")
    controller.adopt_ready(lambda _: None)

    home.apply(web, dump_yaml(certificate_document(web)))
    assert looks(controller, namespace, expected=look_at) == [look_at]

    now, pair = SystemClock().now(), a_pair(web, not_before=SystemClock().now() - 60)
    violation = Violation(reason="DoesNotExist", message="Issuing certificate as Secret does not exist")
    status = conditions.issuing(CertificateStatus(), violation, ready=False, now=now)
    home.write_certificate_status(web.id, status)
    home.write_secret(pair)
    leaf = observe(web, pair, status, ("",)).leaf
    home.write_certificate_status(
        web.id, conditions.issued(status, leaf, renew_at=leaf.not_after - 86_400, now=now)
    )
    home.apply(later, dump_yaml(certificate_document(later)))
    last = ReconcileRequest(kind="Certificate", namespace=namespace, name="later")
    told = looks(controller, namespace, expected=last)
    assert told.count(look_at) <= 1, (
        "its own Secret may be seen after the status that ends the run, and nothing else"
    )

    home.delete_secret(namespace, "web-tls")
    assert look_at in looks(controller, namespace, expected=look_at)


def test_what_was_issued_is_adopted_at_the_first_list_without_a_request(controller, kube, namespace):
    home = KubernetesHome(client_of(kube), cluster_resource_namespace="cert-manager", clock=SystemClock())
    web = a_certificate(namespace=namespace)
    home.apply(web, dump_yaml(certificate_document(web)))
    pair = a_pair(web, not_before=SystemClock().now() - 60)
    home.write_secret(pair)
    leaf = observe(web, pair, CertificateStatus(), ("",)).leaf
    renew_at = float(int(leaf.not_after - 86_400))
    home.write_certificate_status(
        web.id, conditions.issued(CertificateStatus(), leaf, renew_at=renew_at, now=SystemClock().now())
    )
    until(lambda: controller.synced, what="not everything was listed")

    def is_adopted():
        adopted = []
        controller.adopt_ready(adopted.extend)
        return (web.id, renew_at) in adopted

    until(is_adopted, what="it was not adopted")


def test_of_two_candidates_one_holds_the_lease_and_the_other_takes_over(kube, namespace):
    clock, client = FakeClock(), client_of(kube)
    one, two = (
        Leadership(client, namespace=namespace, name="controller", identity=who, clock=clock)
        for who in ("one", "two")
    )

    assert (one.contend(), two.contend()) == (True, False)
    clock.advance(LEASE_SECONDS - 5)
    assert (one.contend(), two.contend()) == (True, False)
    clock.advance(LEASE_SECONDS + 1)
    assert (two.contend(), one.contend()) == (True, False)
    two.give_up()
    assert one.contend() is True

    spec = mapping(client.get(LEASES, namespace, "controller")["spec"])
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("one", 2)
    assert client.get(CERTIFICATES, namespace, "controller") is None
