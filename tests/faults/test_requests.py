"""Requests are in nothing but their message: doubled, late, or taken while the home is away, each is answered
once, and none is lost."""

from __future__ import annotations

import json
import shutil
import time

from certmill.contract import RENEW_TASK, REQUEST_TASK, REQUESTS_QUEUE, envelope
from tests.faults.ledger import orders_by_name


def message(task: str, body: object, request_id: str) -> str:
    return json.dumps(
        envelope(task, [body], queue=REQUESTS_QUEUE, task_id=request_id, argsrepr="()", origin="test")
    )


def asked_for(lab, name: str, *dns_names: str) -> dict[str, object]:
    spec = {
        "secretName": name,
        "issuerRef": {"name": "prod"},
        "dnsNames": list(dns_names),
        "privateKey": {"algorithm": "ECDSA"},
    }
    return {"name": name, "namespace": "default", "spec": spec}


def send(lab, *messages: str) -> None:
    lab.runtime.redis.lpush(REQUESTS_QUEUE, *messages)
    lab.until(lambda: not lab.runtime.redis.exists(REQUESTS_QUEUE), what="the requests are taken")


def test_a_request_sent_four_times_is_one_order_and_so_is_a_renewal(lab):
    client = lab.certmill.client()
    request = message(REQUEST_TASK, asked_for(lab, "fourfold", "fourfold.example.test"), "request-fourfold")
    renewal = message(RENEW_TASK, {"name": "fourfold", "namespace": "default"}, "renewal-fourfold")

    for one, request_id in ((request, "request-fourfold"), (renewal, "renewal-fourfold")):
        send(lab, *[one] * 4)
        client.handle(request_id, "default/fourfold").wait(60)
        send(lab, one)

    lab.until(lambda: lab.record("fourfold").step == "", what="idle")
    assert orders_by_name(lab.runtime, "prod")["fourfold.example.test"] == 2
    assert lab.status("fourfold").revision == 2


def test_a_request_that_comes_again_late_does_not_undo_a_newer_one(lab):
    client = lab.certmill.client()
    older = message(REQUEST_TASK, asked_for(lab, "late", "late.example.test"), "late-1")
    newer = message(REQUEST_TASK, asked_for(lab, "late", "late.example.test", "later.example.test"), "late-2")
    for one, request_id in ((older, "late-1"), (newer, "late-2")):
        send(lab, one)
        client.handle(request_id, "default/late").wait(60)

    send(lab, older)
    lab.issue("after-late", "after-late.example.test")

    assert set(lab.leaf("late").dns_names) == {"late.example.test", "later.example.test"}
    assert lab.status("late").revision == 2


def test_a_request_that_comes_while_the_home_is_away_is_answered_when_it_is_back(lab):
    manifests = lab.certmill.home / "manifests"
    shutil.move(manifests, manifests.with_name("away"))
    manifests.write_text("not a directory")
    try:
        handle = lab.request("homeless", "homeless.example.test")
        time.sleep(2.5)
        assert handle.status().phase == "queued"
    finally:
        manifests.unlink()
        shutil.move(manifests.with_name("away"), manifests)

    assert handle.wait(60).phase == "issued"
