"""An API server that is killed at every step, cuts its watches, forgets, is busy, is in trouble, and has
other writers: all are issued, with one order each."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from certmill.contract import STEP_NAMES
from certmill.home.cached import RECENT_SECONDS
from certmill.kube.resources import CERTIFICATES
from tests.faults.api_proxy import Reply
from tests.faults.cluster import an_ingress
from tests.faults.held import POINTS

WATCHED = {"certificates", "secrets", "issuers", "clusterissuers", "ingresses"}
LISTED_BY_STEPS = {"certificates", "ingresses"}
MADE = {
    ("apply", "endpointslices"),
    ("apply", "ingresses"),
    ("apply", "secrets"),
    ("apply", "services"),
    ("create", "certificates"),
    ("create", "events"),
    ("delete", "endpointslices"),
    ("delete", "ingresses"),
    ("delete", "services"),
    ("get", "certificates"),
    ("get", "clusterissuers"),
    ("get", "ingresses"),
    ("get", "leases"),
    ("get", "secrets"),
    ("list", "endpointslices"),
    ("update", "certificates/status"),
    ("update", "ingresses"),
    ("update", "leases"),
}
"""The requests of certmill while it issues, by DNS-01, by HTTP-01 and by edit in place, with the rights of
its roles."""
SPARED = {("list", "ingresses"), ("merge", "endpointslices")}
"""After five failures of a clean-up, the sweep does it."""
BUSY = Reply(status=429, headers={"Retry-After": "1"})
CUT = Reply(status=0)
REPLIES = (BUSY, Reply(status=503), CUT, Reply(status=409), Reply(status=500))
TROUBLE_SECONDS = 6.0
SETTLED_SECONDS = 2.5


@pytest.fixture(autouse=True)
def healed(cluster):
    """After each test, undo its faults and check that all processes still run."""
    yield
    cluster.proxy.trouble = None
    assert cluster.running() == cluster.pids


def when_all_is_watched(cluster):
    """The number of the next request."""
    cluster.until(lambda: len(cluster.proxy.watches) >= 2 * len(WATCHED), what="every watch is under way")
    time.sleep(SETTLED_SECONDS)  # and no process is still affected by an earlier test
    return len(cluster.proxy.asked)


def assert_one_order_each(cluster, namespace, names):
    wanted = [one for name in names for one in cluster.names_of(namespace, name)]
    assert cluster.orders_of(*wanted) == dict.fromkeys(wanted, 1)
    assert {cluster.client.get(CERTIFICATES, namespace, name)["status"]["revision"] for name in names} == {1}
    cluster.assert_no_trace(namespace, *wanted)


def lists_of_secrets(cluster, since):
    """The number of requests that the API server has answered."""
    return [
        (request.verb, request.resource, status) for request, status in cluster.proxy.asked[since:]
    ].count(("list", "secrets", 200))


def test_the_api_server_killed_at_every_step_costs_time_only(cluster, namespace):
    """After its restart it has only the newest revision: everything that is watched must be listed again."""
    places = {f"{step}-{point}".replace("_", "-"): (step, point) for step in STEP_NAMES for point in POINTS}
    with contextlib.ExitStack() as holds:
        held = [holds.enter_context(cluster.hold(namespace, name, *place)) for name, place in places.items()]
        for name in places:
            cluster.apply_both(namespace, name)
        for file in held:
            cluster.wait_held(file)
        cluster.kube.kill()
        cluster.kube.etcd.compact()
        time.sleep(RECENT_SECONDS)  # otherwise a step would use what it has read a moment before
    time.sleep(0.5)
    since = len(cluster.proxy.asked)
    cluster.kube.start()

    cluster.wait_all_ready(
        namespace, places, seconds=150
    )  # the longer the API server was down, the later a step is tried again
    cluster.apply_both(namespace, "afterwards")
    cluster.wait_all_ready(namespace, ["afterwards"])
    assert_one_order_each(cluster, namespace, [*places, "afterwards"])
    cluster.until(lambda: lists_of_secrets(cluster, since), what="the Secrets are listed again")
    # Objects that were listed during the start may be older than the history of the API server, which answers
    # 410 once.
    assert lists_of_secrets(cluster, since) <= 2


def test_a_watch_that_is_cut_continues_from_its_resource_version(cluster, namespace):
    since = when_all_is_watched(cluster)

    cut = cluster.proxy.cut_watches()
    cluster.apply_both(namespace, "web")
    cluster.wait_all_ready(namespace, ["web"])

    assert_one_order_each(cluster, namespace, ["web"])
    cluster.until(
        lambda: all(cluster.proxy.count(since)["watch", resource] for resource in WATCHED),
        what="all is watched again",
    )
    asked = cluster.proxy.count(since)
    assert [
        resource for resource in WATCHED if asked["list", resource] and resource not in LISTED_BY_STEPS
    ] == []
    assert {resource: asked["watch", resource] for resource in WATCHED if asked["watch", resource] > 4} == {}
    assert cut >= len(WATCHED)


def test_what_the_api_server_has_forgotten_is_listed_again_and_not_in_a_storm(cluster, namespace):
    since = when_all_is_watched(cluster)
    cluster.proxy.trouble = lambda request: Reply(status=410) if request.verb == "watch" else None

    cluster.proxy.cut_watches()
    cluster.apply_both(namespace, "web")
    only_watched = WATCHED - LISTED_BY_STEPS
    cluster.until(
        lambda: all(cluster.proxy.count(since)["list", resource] for resource in only_watched),
        what="all is listed again",
    )
    time.sleep(TROUBLE_SECONDS)
    asked = cluster.proxy.count(since)
    cluster.proxy.trouble = None

    cluster.wait_all_ready(namespace, ["web"])
    assert_one_order_each(cluster, namespace, ["web"])
    assert {
        resource: asked["list", resource] for resource in only_watched if asked["list", resource] > 8
    } == {}


class Once:
    """The first request of each kind fails, with each of these faults in turn; the next one succeeds. A
    clean-up deletes several objects, and each request may fail. So that this takes only seconds, the
    server sends a Retry-After there."""

    def __init__(self, *replies):
        self.failed: dict[tuple[str, str], Reply] = {}
        self._replies = replies
        self._guard = threading.Lock()

    def __call__(self, request):
        kind = (request.verb, request.resource)
        with self._guard:
            if kind in self.failed or kind in SPARED:
                return None
            reply = BUSY if request.verb == "delete" else self._replies[len(self.failed) % len(self._replies)]
            return self.failed.setdefault(kind, reply)


def test_whatever_request_fails_is_made_again_and_all_are_issued_once(cluster, namespace):
    names = ["one", "two"]
    cluster.proxy.trouble = once = Once(*REPLIES)
    since = len(cluster.proxy.asked)

    cluster.proxy.cut_watches()
    for name in names:
        cluster.apply_both(namespace, name)
    cluster.apply(an_ingress(namespace), namespace)
    cluster.wait_all_ready(
        namespace, [*names, "shop-tls"], seconds=150
    )  # a step in which several requests fail waits longer after each failure

    assert_one_order_each(cluster, namespace, names)
    kinds = MADE | {("watch", resource) for resource in WATCHED}
    cluster.until(
        lambda: once.failed.keys() >= kinds, what=lambda: f"never asked: {kinds - once.failed.keys()}"
    )
    assert sum(cluster.proxy.count(since).values()) < 700
    assert cluster.traces(namespace) == []


def test_the_retry_after_of_the_api_server_is_respected(cluster, namespace):
    names = [f"web-{number}" for number in range(6)]
    for name in names:
        cluster.apply_both(namespace, name)
    cluster.proxy.trouble = lambda request: Reply(status=429, headers={"Retry-After": "3"})
    cluster.proxy.cut_watches()
    since = len(cluster.proxy.asked)

    time.sleep(TROUBLE_SECONDS)
    asked = cluster.proxy.count(since)
    cluster.proxy.trouble = None

    cluster.wait_all_ready(namespace, names)
    assert_one_order_each(cluster, namespace, names)
    assert 0 < sum(asked.values()) < 80, asked


def test_a_status_written_by_another_program_meanwhile_is_a_conflict(cluster, namespace):
    theirs = []

    def write_first(request):
        """A real conflict of the API server: the object is changed between the read and the write."""
        if (request.verb, request.resource, request.namespace) == (
            "update",
            "certificates/status",
            namespace,
        ) and len(theirs) < 5:
            theirs.append(f"next-{len(theirs)}")
            status = {"nextPrivateKeySecretName": theirs[-1]}
            cluster.client.merge(
                CERTIFICATES, namespace, request.name, {"status": status}, subresource="status"
            )

    cluster.proxy.trouble = write_first
    since = len(cluster.proxy.asked)
    cluster.apply_both(namespace, "web")
    cluster.wait_all_ready(namespace, ["web"])

    assert_one_order_each(cluster, namespace, ["web"])
    refused = [request for request, status in cluster.proxy.asked[since:] if status == 409]
    assert len(refused) >= 3
    assert (
        cluster.client.get(CERTIFICATES, namespace, "web")["status"]["nextPrivateKeySecretName"] == theirs[-1]
    )
