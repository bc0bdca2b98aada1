"""The watches together: what is adopted at first sight, and which looks come out, in order and each once."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import pytest

from certmill.controller.changes import ReconcileRequest
from certmill.controller.controller import RESYNC_SECONDS, Controller
from certmill.controller.ingress import desired_by
from certmill.home.kubernetes.status import ATTEMPT_ANNOTATION
from certmill.http01.edit_in_place import with_challenge_path
from certmill.http01.ingress import solver_ingress
from certmill.http01.route_choice import OwnIngress
from certmill.kube.client import Listing, WatchEvent
from certmill.kube.objects import instant_of
from certmill.kube.resources import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    INGRESSES,
    ISSUERS,
    SECRETS,
    VIRTUAL_SERVERS,
)
from certmill.testing.clock import FakeClock
from tests.support.builders import a_certificate as build_certificate
from tests.unit.controller.bodies import (
    END,
    ISSUED,
    RENEWAL,
    a_certificate,
    a_secret,
    an_ingress,
    an_issuer,
    condition,
)

NOW = instant_of("2027-01-01T00:00:00Z")
FAILED = {
    "conditions": [condition("Issuing", "False", "Failed")],
    "lastFailureTime": "2027-01-01T00:00:00Z",
    "failedIssuanceAttempts": 2,
}


class Cluster:
    """An API server: lists what it has, tells what happens, and ends every watch when it has told all."""

    def __init__(self, stop):
        self._stop = stop
        self.objects = {}
        self._events = {}

    def happens(self, resource, type_, body):
        self._events.setdefault(resource.plural, []).append(WatchEvent(type=type_, object=body))

    def serves(self, resource):
        if resource.plural in self.objects:
            return True
        self._stop.set()
        return False

    def pages(self, resource, namespace="", **options):
        yield Listing(items=tuple(self.objects.get(resource.plural, ())), resource_version="1")

    def watch(self, resource, namespace="", **options):
        yield from self._events.pop(resource.plural, ())
        self._stop.set()


class Process:
    """A controller whose watches run when they are told to, one after another."""

    def __init__(self, **options):
        self.clock, self._stop = FakeClock(NOW), threading.Event()
        self.cluster = Cluster(self._stop)
        self.controller = Controller(self.cluster, self.clock, self._stop, **options)
        self.adopted = []

    def has(self, resource, *objects):
        self.cluster.objects[resource.plural] = objects
        return self

    def watch(self):
        for _, run in self.controller.watches():
            self._stop.clear()
            run()
        return self

    def sees(self, resource, type_, body):
        self.cluster.happens(resource, type_, body)
        self.watch()

    def adopt_ready(self):
        self.adopted = []
        return self.controller.adopt_ready(self.adopted.extend)

    def take(self, limit=100):
        return [
            f"{request.kind} {request.namespace}/{request.name}"
            for request in self.controller.take(limit, seconds=0)
        ]


@pytest.fixture
def process():
    return Process()


def test_nothing_is_begun_before_everything_was_listed_once(process):
    assert process.controller.synced is False

    process.watch()

    assert process.controller.synced is True


def test_at_the_first_list_what_is_right_is_adopted_and_the_rest_is_reconciled(process):
    right, new = a_certificate("web", status=ISSUED), a_certificate("new")
    process.has(CERTIFICATES, right, new, a_certificate("lost", status=ISSUED)).has(
        SECRETS, a_secret("web-tls")
    ).watch()

    assert process.adopt_ready() == 1

    assert process.adopted == [("default/web", instant_of(RENEWAL))]
    assert process.take() == ["Certificate default/new", "Certificate default/lost"]


def test_a_note_of_an_order_with_values_is_reconciled_and_alone_is_no_change(process):
    left = a_certificate("web", status=ISSUED)
    left["metadata"]["annotations"] = {ATTEMPT_ANNOTATION: '{"order":"https://ca.test/order/1"}'}
    process.has(CERTIFICATES, left).has(SECRETS, a_secret("web-tls")).watch()

    assert process.adopt_ready() == 0
    assert process.take() == ["Certificate default/web"]

    cleared = copy.deepcopy(left)
    cleared["metadata"]["annotations"] = {ATTEMPT_ANNOTATION: "{}"}
    process.sees(CERTIFICATES, "MODIFIED", cleared)
    assert process.take() == []


def test_certificates_of_another_groups_issuers_are_neither_adopted_nor_reconciled(process):
    foreign = {
        "issuerRef": {"name": "prod", "kind": "AWSPCAClusterIssuer", "group": "awspca.cert-manager.io"}
    }
    right, new = a_certificate("web", status=ISSUED, spec=foreign), a_certificate("new", spec=foreign)
    pair = a_secret("web-tls", issuer=("prod", "AWSPCAClusterIssuer", "awspca.cert-manager.io"))
    process.has(CERTIFICATES, right, new).has(SECRETS, pair).watch()

    assert process.adopt_ready() == 0

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == []


def test_issuers_and_shims_come_first(process):
    process.has(CERTIFICATES, a_certificate()).has(ISSUERS, an_issuer("dev", "default")).has(
        CLUSTER_ISSUERS, an_issuer()
    )
    process.has(INGRESSES, an_ingress("shop", "shop-tls"), an_ingress("plain"))
    process.has(VIRTUAL_SERVERS, CAFE).watch()

    process.adopt_ready()

    assert process.take() == [
        "Issuer default/dev",
        "ClusterIssuer /prod",
        "Ingress default/shop",
        "VirtualServer default/cafe",
        "Certificate default/web",
    ]


def test_before_it_leads_nothing_is_reported(process):
    process.watch()
    process.sees(CERTIFICATES, "ADDED", a_certificate())

    assert process.take() == []


def test_then_every_change_is_reported_once_and_in_order(process):
    process.watch().adopt_ready()
    process.sees(CERTIFICATES, "ADDED", a_certificate("b"))
    process.sees(CERTIFICATES, "ADDED", a_certificate("a"))
    process.sees(CERTIFICATES, "MODIFIED", a_certificate("b", generation=2))
    process.sees(CLUSTER_ISSUERS, "ADDED", an_issuer())
    process.sees(INGRESSES, "ADDED", {"metadata": {"name": "shop", "namespace": "default"}})

    assert process.take(2) == ["Certificate default/b", "ClusterIssuer /prod"]
    assert process.take() == ["Certificate default/a", "Ingress default/shop"]
    assert process.take() == []


def test_a_secret_that_was_edited_is_its_certificates_matter(process):
    process.has(CERTIFICATES, a_certificate(status=ISSUED)).has(SECRETS, a_secret()).watch().adopt_ready()

    process.sees(SECRETS, "MODIFIED", a_secret(resourceVersion="2"))
    assert process.take() == ["Certificate default/web"]
    process.sees(SECRETS, "DELETED", a_secret(resourceVersion="3"))
    assert process.take() == ["Certificate default/web"]


def test_a_secret_that_is_written_while_its_certificate_is_issued_is_not(process):
    issuing = a_certificate(status={"conditions": [condition("Issuing", "True")]})
    process.has(CERTIFICATES, issuing).watch().adopt_ready()
    process.take()

    process.sees(SECRETS, "ADDED", a_secret())

    assert process.take() == []


def test_a_resource_that_appears_later_is_seen_then(process):
    process.watch().adopt_ready()

    process.has(VIRTUAL_SERVERS, {"metadata": {"name": "cafe", "namespace": "default"}}).watch()

    assert process.take() == ["VirtualServer default/cafe"]


def test_reconcile_requests_that_could_not_be_sent_come_first_again_and_each_once(process):
    process.watch().adopt_ready()
    for name in ("a", "b", "c"):
        process.sees(CERTIFICATES, "ADDED", a_certificate(name))
    taken = process.controller.take(2, seconds=0)
    process.sees(CERTIFICATES, "MODIFIED", a_certificate("a", generation=2))

    process.controller.put_back(taken)

    assert process.take() == ["Certificate default/a", "Certificate default/b", "Certificate default/c"]


def test_a_new_first_list_drops_what_was_to_be_reported_and_reads_everything(process):
    process.has(CERTIFICATES, a_certificate(status=ISSUED), a_certificate("new")).has(
        SECRETS, a_secret()
    ).watch().adopt_ready()
    process.controller.put_back([ReconcileRequest(kind="Certificate", namespace="default", name="gone")])

    assert process.adopt_ready() == 1
    assert process.take() == ["Certificate default/new"]


def test_now_and_then_what_is_not_ready_and_did_not_fail_is_reconciled_again(process):
    process.has(
        CERTIFICATES,
        a_certificate("new"),
        a_certificate("failed", status=FAILED),
        a_certificate(status=ISSUED),
    )
    process.has(SECRETS, a_secret()).has(
        CLUSTER_ISSUERS, an_issuer(), an_issuer("stage", ready=False)
    ).watch().adopt_ready()
    process.take()

    process.clock.advance(RESYNC_SECONDS - 1)
    assert process.take() == []
    process.clock.advance(1)
    assert process.take() == ["ClusterIssuer /stage", "Certificate default/new"]
    assert process.take() == []
    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == ["ClusterIssuer /stage", "Certificate default/new"]


def test_how_often_it_reconciles_again_can_be_set():
    process = Process(resync_seconds=2).has(CERTIFICATES, a_certificate("new")).watch()
    process.adopt_ready()
    process.take()

    process.clock.advance(1.9)
    assert process.take() == []
    process.clock.advance(0.2)
    assert process.take() == ["Certificate default/new"]


def test_namespaces_take_turns_so_that_one_that_is_full_holds_up_no_other(process):
    many = [a_certificate(f"web-{number}", "full") for number in range(50)]
    process.has(
        CERTIFICATES, *many, a_certificate("one", "small"), a_certificate("two", "small")
    ).watch().adopt_ready()

    assert process.take(5) == [
        f"Certificate {one}" for one in ("full/web-0", "small/one", "full/web-1", "small/two", "full/web-2")
    ]
    assert process.take(2) == ["Certificate full/web-3", "Certificate full/web-4"]


def test_a_clock_set_back_for_hours_does_not_delay_what_is_reconciled_again(process):
    process.has(CERTIFICATES, a_certificate("new")).watch().adopt_ready()
    process.take()

    process.clock.advance(-3 * 3600)
    assert process.take() == []
    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == ["Certificate default/new"]


def test_one_that_expires_during_its_renewal_is_reconciled_until_it_is_reported(process):
    renewing = {**ISSUED, "conditions": [*ISSUED["conditions"], condition("Issuing", "True", "Renewing")]}
    process.has(CERTIFICATES, a_certificate(status=renewing)).has(SECRETS, a_secret()).watch().adopt_ready()
    process.take()
    process.clock.advance(instant_of(END) - NOW)

    assert process.take() == ["Certificate default/web"]
    told = {
        **renewing,
        "conditions": [condition("Ready", "False", "Expired"), condition("Issuing", "True", "Renewing")],
    }
    process.sees(CERTIFICATES, "MODIFIED", a_certificate(status=told))
    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == []


CAFE = {
    "metadata": {"name": "cafe", "namespace": "default", "uid": "uid-cafe"},
    "spec": {"host": "a.example", "tls": {"secret": "cafe-tls", "cert-manager": {"issuer": "prod"}}},
}
ASKS = {"cert-manager.io/cluster-issuer": "prod"}
IS_SHOP = {"name": "shop", "namespace": "default", "uid": "uid-shop"}
SHOP = {
    "metadata": {**IS_SHOP, "annotations": ASKS},
    "spec": {"tls": [{"hosts": ["a.example"], "secretName": "shop-tls"}]},
}


def of_the_shop(shop=SHOP, **changes):
    """The Certificate that the Ingress asks for, as it was made."""
    (desired,) = desired_by(shop).desired
    document = copy.deepcopy(desired.document)
    document["metadata"] |= {"uid": "uid-c", "generation": 1, "resourceVersion": "1"}
    document["spec"] |= changes
    return document | {"status": ISSUED}


def shop_is_settled(process):
    pairs = [a_secret(name, certificate=name) for name in ("shop-tls", "other-tls")]
    process.has(INGRESSES, SHOP).has(CERTIFICATES, of_the_shop()).has(SECRETS, *pairs).watch().adopt_ready()
    process.take()
    return process


def test_at_the_first_list_an_ingress_that_has_its_certificates_is_left_alone(process):
    process.has(INGRESSES, SHOP).has(CERTIFICATES, of_the_shop()).has(
        SECRETS, a_secret("shop-tls", certificate="shop-tls")
    ).watch()

    process.adopt_ready()

    assert process.take() == []


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"tls": [{"hosts": ["b.example"], "secretName": "shop-tls"}]}},
        {"spec": {"tls": [{"hosts": ["a.example"], "secretName": "other-tls"}]}},
        {"metadata": {**IS_SHOP, "uid": "uid-of-another", "annotations": ASKS}},
        {"metadata": {**IS_SHOP, "annotations": {**ASKS, "cert-manager.io/issuer": "too"}}},
    ],
    ids=["another host", "another Secret", "made again", "a mistake in it"],
)
def test_at_the_first_list_an_ingress_that_changed_unseen_is_reconciled(process, change):
    process.has(INGRESSES, SHOP | change).has(CERTIFICATES, of_the_shop()).watch().adopt_ready()

    assert "Ingress default/shop" in process.take()


def test_at_the_first_list_certificates_that_their_ingress_has_left_unseen_are_named(process):
    process.has(INGRESSES, SHOP | {"spec": {"tls": [{"hosts": ["a.example"], "secretName": "other-tls"}]}})
    process.has(CERTIFICATES, of_the_shop()).watch().adopt_ready()

    requests = process.controller.take(100, seconds=0)

    assert ReconcileRequest(kind="Ingress", namespace="default", name="shop", left=("shop-tls",)) in requests


def test_an_ingress_whose_certificate_is_not_there_is_reconciled_until_it_is(process):
    process.has(INGRESSES, SHOP).has(
        SECRETS, a_secret("shop-tls", certificate="shop-tls")
    ).watch().adopt_ready()
    assert process.take() == ["Ingress default/shop"]

    for _ in range(2):  # the look is lost each time
        process.clock.advance(RESYNC_SECONDS)
        assert process.take() == ["Ingress default/shop"]
    process.sees(CERTIFICATES, "ADDED", of_the_shop())
    process.take()

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == []


def test_an_ingress_whose_change_did_not_reach_its_certificate_is_reconciled_again(process):
    shop_is_settled(process)
    changed = copy.deepcopy(SHOP)
    changed["spec"]["tls"][0]["hosts"] = ["b.example"]
    process.sees(INGRESSES, "MODIFIED", changed)
    assert process.take() == ["Ingress default/shop"]

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == ["Ingress default/shop"]
    process.sees(CERTIFICATES, "MODIFIED", of_the_shop(changed))
    process.take()

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == []


def test_an_ingress_whose_certificate_should_be_gone_and_is_not_is_reconciled_again(process):
    shop_is_settled(process)
    other = copy.deepcopy(SHOP)
    other["spec"]["tls"][0]["secretName"] = "other-tls"
    process.sees(INGRESSES, "MODIFIED", other)
    process.sees(CERTIFICATES, "ADDED", of_the_shop(other))
    process.take()

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == ["Ingress default/shop"]
    process.sees(CERTIFICATES, "DELETED", of_the_shop())
    assert process.take() == ["Certificate default/shop-tls"]

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == []


def test_an_ingress_certificate_that_is_edited_or_deleted_reconciles_the_ingress(process):
    shop_is_settled(process)

    process.sees(CERTIFICATES, "MODIFIED", of_the_shop(dnsNames=["wrong.example"]))
    assert process.take() == ["Ingress default/shop"]
    process.sees(CERTIFICATES, "DELETED", of_the_shop())
    assert process.take() == ["Certificate default/shop-tls", "Ingress default/shop"]


def test_a_certificate_collected_after_its_ingress_was_made_again_is_made_again(process):
    process.has(INGRESSES, SHOP).has(CERTIFICATES, of_the_shop()).watch().adopt_ready()
    process.sees(INGRESSES, "DELETED", SHOP)
    process.sees(INGRESSES, "ADDED", SHOP | {"metadata": {**SHOP["metadata"], "uid": "uid-of-another"}})
    process.take()

    process.sees(CERTIFICATES, "DELETED", of_the_shop())

    assert process.take() == ["Certificate default/shop-tls", "Ingress default/shop"]


def test_what_happens_to_an_ingress_and_is_nothing_to_its_certificates_is_nothing(process):
    shop_is_settled(process)
    led = copy.deepcopy(SHOP)
    led["metadata"]["annotations"]["certmill.io/http01-challenges"] = "{}"
    led["spec"]["rules"] = [{"host": "a.example", "http": {"paths": []}}]

    process.sees(INGRESSES, "MODIFIED", led)

    assert process.take() == []


def test_a_certificate_of_another_settles_what_an_ingress_asks_for(process):
    theirs = of_the_shop(dnsNames=["theirs.example"])
    theirs["metadata"]["ownerReferences"] = []
    process.has(INGRESSES, SHOP).has(CERTIFICATES, theirs).has(
        SECRETS, a_secret("shop-tls", certificate="shop-tls")
    ).watch().adopt_ready()
    process.take()

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == []


def test_a_virtual_server_is_reconciled_again_likewise(process):
    process.has(VIRTUAL_SERVERS, CAFE).watch().adopt_ready()
    process.take()

    process.clock.advance(RESYNC_SECONDS)
    assert process.take() == ["VirtualServer default/cafe"]


def test_when_the_owner_of_a_secret_goes_the_others_that_name_it_are_reconciled(process):
    rivals = [a_certificate(name, status=ISSUED, spec={"secretName": "one-tls"}) for name in ("a", "b", "c")]
    process.has(CERTIFICATES, *rivals, a_certificate("alone", status=ISSUED)).watch().adopt_ready()
    process.take()

    process.sees(CERTIFICATES, "DELETED", rivals[0])
    assert process.take() == ["Certificate default/a", "Certificate default/b", "Certificate default/c"]
    process.sees(CERTIFICATES, "MODIFIED", a_certificate("b", status=ISSUED, generation=2))
    assert process.take() == ["Certificate default/b", "Certificate default/c"]
    process.sees(CERTIFICATES, "DELETED", a_certificate("alone"))
    assert process.take() == ["Certificate default/alone"]


def test_what_is_being_issued_is_reconciled_again_less_often(process):
    under_way = {"conditions": [condition("Issuing", "True", "DoesNotExist")]}
    process.has(CERTIFICATES, a_certificate(status=under_way)).watch().adopt_ready()
    process.take()

    told = []
    for _ in range(20):
        process.clock.advance(RESYNC_SECONDS)
        told += process.take()

    assert told == ["Certificate default/web"] * 2


def resyncs(process, times=1):
    """What is looked at in so many resyncs, when every look so far was lost."""
    process.take()
    told = []
    for _ in range(times):
        process.clock.advance(RESYNC_SECONDS)
        told += process.take()
    return told


def test_a_run_that_was_asked_for_is_reconciled_again_if_the_request_was_lost(process):
    asked = {
        **ISSUED,
        "conditions": [*ISSUED["conditions"], condition("Issuing", "True", "ManuallyTriggered")],
    }
    process.has(CERTIFICATES, a_certificate(status=ISSUED)).has(SECRETS, a_secret()).watch().adopt_ready()
    process.sees(CERTIFICATES, "MODIFIED", a_certificate(status=asked))

    assert resyncs(process, 10) == ["Certificate default/web"]


def test_a_secret_that_is_gone_is_reconciled_again_if_the_request_was_lost(process):
    process.has(CERTIFICATES, a_certificate(status=ISSUED)).has(SECRETS, a_secret()).watch().adopt_ready()
    process.sees(SECRETS, "DELETED", a_secret())

    assert resyncs(process) == ["Certificate default/web"]


def test_another_spec_of_what_had_failed_is_reconciled_again_if_the_request_was_lost(process):
    process.has(CERTIFICATES, a_certificate(status=FAILED)).watch().adopt_ready()
    assert resyncs(process) == []

    process.sees(CERTIFICATES, "MODIFIED", a_certificate(status=FAILED, generation=2))

    assert resyncs(process) == ["Certificate default/web"]


def test_a_changed_ready_issuer_is_reconciled_again_if_the_request_was_lost(process):
    process.has(CLUSTER_ISSUERS, an_issuer()).watch().adopt_ready()
    process.sees(CLUSTER_ISSUERS, "MODIFIED", an_issuer(generation=2))

    assert resyncs(process) == ["ClusterIssuer /prod"]


def test_an_ingress_with_the_challenge_of_an_unissued_certificate_is_reconciled(process):
    led = with_challenge_path(an_ingress("plain") | {"spec": {}}, "a.example", "web", "token")
    solver = solver_ingress(
        replace(build_certificate(), namespace="default", name="web"), "b.example", OwnIngress(), "token"
    )
    under_way = a_certificate(status={"conditions": [condition("Issuing", "True", "DoesNotExist")]})
    process.has(INGRESSES, led, solver).has(CERTIFICATES, under_way).has(
        SECRETS, a_secret()
    ).watch().adopt_ready()
    assert not any(request.startswith("Ingress") for request in process.take())

    process.sees(CERTIFICATES, "MODIFIED", a_certificate(status=ISSUED))
    requests = [f"Ingress default/{one['metadata']['name']}" for one in (led, solver)]
    assert resyncs(process) == requests
    process.adopt_ready()
    assert process.take() == requests
    process.sees(INGRESSES, "MODIFIED", an_ingress("plain"))
    process.sees(INGRESSES, "DELETED", solver)
    assert resyncs(process) == []


def test_while_workers_do_not_keep_up_with_reconcile_requests_none_is_repeated(process):
    process.has(CERTIFICATES, a_certificate("new")).watch().adopt_ready()
    process.take()

    for _ in range(3):
        process.clock.advance(RESYNC_SECONDS)
        assert process.controller.take(100, seconds=0, queue_is_short=lambda: False) == []
    process.sees(CERTIFICATES, "MODIFIED", a_certificate("new", generation=2))
    assert len(process.controller.take(100, seconds=0, queue_is_short=lambda: False)) == 1

    assert resyncs(process) == ["Certificate default/new"]


def test_an_idle_one_has_nothing_to_tell(process):
    process.has(CERTIFICATES, a_certificate(status=ISSUED)).has(SECRETS, a_secret()).has(
        CLUSTER_ISSUERS, an_issuer()
    ).watch().adopt_ready()
    process.take()

    for _ in range(3):
        process.clock.advance(RESYNC_SECONDS)
        assert process.take() == []


@pytest.mark.parametrize(
    ("namespaces", "covers"), [((), True), (("default", "a"), True), (("a",), False)], ids=str
)
def test_a_certificate_is_covered_if_its_namespace_is_watched(namespaces, covers):
    stop = threading.Event()
    controller = Controller(Cluster(stop), FakeClock(NOW), stop, namespaces)

    assert controller.covers("default/web") is covers
