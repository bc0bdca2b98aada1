"""The loop of the controller's process: what it passes on, and when not."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from certmill.controller.changes import ReconcileRequest
from certmill.errors import OtherInstallation
from certmill.state.installation import require_same
from workers.admin.liveness import Liveness
from workers.controller import Process

LOOKS = [
    ReconcileRequest(kind="Certificate", namespace="default", name=f"web-{number}") for number in range(3)
]


class Queue:
    """An app, and the ports of a runtime, around one queue of looks."""

    def __init__(self, stop):
        self.waiting, self.asked = 0, 0
        self.liveness = Liveness()
        self.exporter = SimpleNamespace(start=lambda: None, working=threading.Event())
        self.ports = SimpleNamespace(
            due=self,
            records=self,
            gauges=SimpleNamespace(others=lambda _: [], store_all=lambda *_: []),
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

    def remembers(self):
        return True

    def require_own_redis(self):
        """Raises OtherInstallation, if it is another's."""


class Controller:
    """Sees the same looks again and again."""

    synced = True

    def watches(self):
        return ()

    def first_sight(self, adopt):
        return 0

    def gauges(self):
        return {}, {}

    def put_back(self, requests):
        assert not requests

    def take(self, limit, *, seconds, keeps_up):
        return LOOKS


@pytest.mark.parametrize(
    ("waiting", "told"), [(0, 9), (998, 3), (1000, 0)], ids=["empty", "nearly full", "full"]
)
def test_while_the_queue_is_full_reconcile_requests_stay_with_the_controller(waiting, told):
    stop = threading.Event()
    queue = Queue(stop)
    queue.waiting = waiting
    leadership = SimpleNamespace(leads=True, answers=True, contend=lambda: True, give_up=lambda: None)

    Process(queue, queue, Controller(), leadership, stop).run()

    assert queue.waiting == waiting + told


def test_a_controller_of_another_installation_sends_nothing_and_ends():
    stop = threading.Event()
    queue = Queue(stop)
    leadership = SimpleNamespace(leads=True, answers=True, contend=lambda: True, give_up=lambda: None)

    def refuse():
        require_same("ours", "another's")

    queue.require_own_redis = refuse
    with pytest.raises(OtherInstallation):
        Process(queue, queue, Controller(), leadership, stop).run()
    assert queue.waiting == 0
