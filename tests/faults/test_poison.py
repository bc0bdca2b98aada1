"""Messages that stop a worker without the guard, thrown at a whole installation."""

from __future__ import annotations

from certmill.contract import REQUESTS_QUEUE, STEPS_QUEUE
from tests.support.poison import MORE, TWELVE


def test_after_every_poison_a_certificate_is_issued_and_no_worker_has_died(lab):
    before = lab.pids()

    for queue, item in (*TWELVE.values(), *MORE.values()):
        lab.runtime.redis.lpush(queue, item)
    leaf = lab.issue("unpoisoned", "unpoisoned.example.test")

    assert leaf.dns_names == ("unpoisoned.example.test",)
    lab.until(
        lambda: not lab.runtime.redis.exists(STEPS_QUEUE, REQUESTS_QUEUE), what="every message is taken"
    )
    assert lab.pids() == before
    assert None not in before.values()
