"""The loop of the controller's process: what it passes on, and when not."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from certmill.controller.changes import ReconcileRequest
from certmill.errors import OtherInstallation
from certmill.settings import Settings
from certmill.state.installation import require_same
from workers.admin.liveness import Liveness
from workers.controller import Process, controller_of, leadership_of

LOOKS = [
    ReconcileRequest(kind="Certificate", namespace="default", name=f"web-{number}") for number in range(3)
]


class Queue:
    """An app, and the ports of a runtime, around one queue of looks."""

    def __init__(self, stop):
        self.waiting, self.asked = 0, 0
        self.others, self.dropped = [], []  # certificates with a gauge that the cluster does not have
        self.liveness = Liveness()
        self.exporter = SimpleNamespace(start=lambda: None, working=threading.Event())
        self.ports = SimpleNamespace(
            due=self,
            records=self,
            gauges=SimpleNamespace(
                others=lambda _: self.others, drop=self.dropped.extend, store_all=lambda *_: []
            ),
        )
        self._stop = stop

    def requests_waiting(self):
        self.asked += 1
        if self.asked == 3:
            self._stop.set()
        return self.waiting

    def send_task(self, name, *, args, queue, retry):
        self.waiting += 1

    def note_adopted(self):
        """Nothing."""

    def has_adopted(self):
        return True

    def require_own_redis(self):
        """Raises OtherInstallation, if it is another's."""


class Controller:
    """Sees the same looks again and again."""

    synced = True

    def __init__(self):
        self.requested = []

    def watches(self):
        return ()

    def adopt_ready(self, adopt):
        return 0

    def gauges(self):
        return {}, {}

    def covers(self, certificate):
        return certificate.startswith("default/")

    def put_back(self, requests):
        self.requested += requests

    def take(self, limit, *, seconds, queue_is_short):
        return LOOKS


def a_leader():
    return SimpleNamespace(
        leads=True, answers=True, renew_seconds=5.0, contend=lambda: True, give_up=lambda: None
    )


@pytest.mark.parametrize(
    ("waiting", "told"), [(0, 9), (998, 3), (1000, 0)], ids=["empty", "nearly full", "full"]
)
def test_while_the_queue_is_full_reconcile_requests_stay_with_the_controller(waiting, told):
    stop = threading.Event()
    queue = Queue(stop)
    queue.waiting = waiting
    leadership = a_leader()

    Process(queue, queue, Controller(), leadership, stop).run()

    assert queue.waiting == waiting + told


def test_a_controller_of_another_installation_sends_nothing_and_ends():
    stop = threading.Event()
    queue = Queue(stop)
    leadership = a_leader()

    def refuse():
        require_same("ours", "another's")

    queue.require_own_redis = refuse
    with pytest.raises(OtherInstallation):
        Process(queue, queue, Controller(), leadership, stop).run()
    assert queue.waiting == 0


def test_of_gauges_without_a_certificate_only_those_that_are_watched_are_reconciled():
    stop = threading.Event()
    queue, controller = Queue(stop), Controller()
    queue.others = ["default/deleted", "narrowed-away/web"]
    leadership = a_leader()

    Process(queue, queue, controller, leadership, stop).run()

    assert [(one.namespace, one.name) for one in controller.requested] == [("default", "deleted")]
    assert queue.dropped == ["narrowed-away/web"]


def test_the_lease_and_the_resync_are_as_long_as_the_settings_say():
    settings = Settings(lease_seconds=6, resync_seconds=2)
    client, stop = SimpleNamespace(serves=lambda resource: True), threading.Event()

    assert leadership_of(settings, client).renew_seconds == 2
    assert controller_of(settings, client, stop).resync_seconds == 2
