"""What the metrics need of a real Redis: gauges, the process that exposes them, and how the fleet stands."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

from certmill.contract import CHANGES_QUEUE, REQUESTS_QUEUE, STEPS_QUEUE, TICKS_QUEUE
from certmill.errors import StateUnavailable
from certmill.model.names import CertificateId
from certmill.model.object_ref import ObjectRef
from certmill.model.trigger import Origin
from certmill.observe.certificate_gauges import CertificateGauge
from certmill.state import keys
from certmill.state.metrics.fleet import OVERDUE_SECONDS, Fleet
from certmill.state.metrics.gauges import Gauges
from certmill.state.queues import lists_of
from certmill.state.records import Due, Records
from certmill.state.server.connection import connect

WEB, API = CertificateId("default/web"), CertificateId("default/api")
NOW = 1_800_000_000.0


def begin(records, certificate=WEB, *, now=NOW):
    records.begin(
        certificate,
        now=now,
        steps=("one", "last"),
        spec="abc",
        origin=Origin(root_id="root"),
        in_flight_until=now + 10,
    )


def end(records, certificate=WEB):
    record = records.claim(certificate, "one", now=NOW, lease_seconds=60, task_id="t", root_id="r")
    records.commit(certificate, fence=record.fence, step="", due=Due.RENEWALS, at=NOW + 9999, fields={})


def test_a_certificate_is_new_once_until_it_is_forgotten(redis):
    gauges, records = Gauges(redis), Records(redis)

    begin(records)
    assert [gauges.note(WEB, CertificateGauge()) for _ in range(2)] == [True, False]
    end(records)
    records.forget(WEB, now=NOW)
    assert gauges.read() == ({}, {})
    begin(records)
    assert gauges.note(WEB, CertificateGauge())


def test_a_certificate_without_a_record_has_no_gauge(redis):
    gauges = Gauges(redis)

    assert not gauges.note(WEB, CertificateGauge())

    assert gauges.read() == ({}, {})


def test_after_everything_was_listed_what_is_not_there_is_gone(redis):
    gauges, records = Gauges(redis), Records(redis)
    records.adopt(WEB, now=NOW, at=NOW, spec="")
    gauges.note(WEB, CertificateGauge(issuer_name="old"))
    gauges.note_issuer(ObjectRef(kind="Issuer", namespace="default", name="gone"), ready=True)

    listed = {API: CertificateGauge(issuer_name="prod")}
    new = gauges.store_all(listed, {ObjectRef(kind="ClusterIssuer", namespace="", name="prod"): False})
    for gone in gauges.others(listed):
        records.forget(gone, now=NOW)

    certificates, issuers = gauges.read()
    assert new == [API]
    assert {id_: json.loads(entry)["issuer"] for id_, entry in certificates.items()} == {API: "prod"}
    assert issuers == {"ClusterIssuer/prod": "False"}


def test_a_gauge_that_is_dropped_leaves_the_record_and_the_others(redis):
    gauges, records = Gauges(redis), Records(redis)
    for certificate in (WEB, API):
        records.adopt(certificate, now=NOW, at=NOW, spec="")
        gauges.note(certificate, CertificateGauge())

    gauges.drop([])
    gauges.drop([WEB])

    assert list(gauges.read()[0]) == [API]
    assert records.read(WEB) is not None


def test_one_process_exposes_the_gauges_and_an_idle_one_takes_over_from_a_busy_one(redis):
    gauges = Gauges(redis)

    assert gauges.may_expose("worker", is_busy=True)
    assert not gauges.may_expose("worker2", is_busy=True)
    assert gauges.may_expose("beat", is_busy=False)
    assert not gauges.may_expose("worker", is_busy=True)
    assert not gauges.may_expose("controller", is_busy=False)
    assert gauges.may_expose("beat", is_busy=False)
    gauges.expose_no_more("controller")
    assert not gauges.may_expose("worker", is_busy=True)
    gauges.expose_no_more("beat")
    assert gauges.may_expose("worker", is_busy=True)
    assert 0 < redis.ttl(keys.EXPOSER) <= 180


def test_the_oldest_run_is_the_one_that_was_begun_first_and_has_not_ended(redis):
    records, fleet = Records(redis), Fleet(redis)
    assert fleet.sample(now=NOW).oldest_run_begun is None
    begin(records, WEB, now=NOW - 500)
    begin(records, API, now=NOW - 100)
    assert fleet.sample(now=NOW).oldest_run_begun == NOW - 500

    end(records, WEB)
    assert fleet.sample(now=NOW).oldest_run_begun == NOW - 100

    end(records, API)
    assert fleet.sample(now=NOW).oldest_run_begun is None


def test_a_run_that_an_older_release_ended_is_not_the_oldest_for_ever(redis):
    records, fleet = Records(redis), Fleet(redis)
    begin(records)
    redis.hset(keys.record(WEB), "step", "")
    begin(records, API, now=NOW - 100)

    assert fleet.sample(now=NOW).oldest_run_begun == NOW - 100
    assert redis.zcard(keys.RUNS) == 2  # to look changes nothing
    assert (fleet.drop_ended(), fleet.drop_ended()) == (1, 0)
    assert redis.zrange(keys.RUNS, 0, -1) == [API]


def test_what_is_due_and_overdue_is_counted_by_set(redis):
    fleet = Fleet(redis)
    redis.zadd(keys.WAITING, {"a/late": NOW - OVERDUE_SECONDS - 1, "a/due": NOW - 1, "a/later": NOW + 100})
    redis.zadd(keys.RENEWALS, {"b/later": NOW + 1000})

    sample = fleet.sample(now=NOW)

    assert sample.due == {"waiting": 3, "in-flight": 0, "arrivals": 0, "renewals": 1}
    assert sample.overdue == {"waiting": 1, "in-flight": 0, "arrivals": 0, "renewals": 0}


@pytest.mark.parametrize(
    ("item", "known_by"),
    [
        (json.dumps({"headers": {"id": "abc"}}), "abc"),
        ("{", None),
        ("[]", None),
        (json.dumps({"headers": {"id": 7}}), None),
        (b"\xff\xfe", None),
    ],
)
def test_the_next_request_is_known_by_its_id_or_a_digest(redis, item, known_by):
    options = redis.connection_pool.connection_kwargs
    fleet = Fleet(
        connect(f"redis://127.0.0.1:{options['port']}/{options['db']}", encoding_errors="replace", retries=0)
    )
    redis.lpush(REQUESTS_QUEUE, item, "a younger one")

    sample = fleet.sample(now=NOW)

    assert sample.queues[REQUESTS_QUEUE] == 2
    assert sample.oldest_request == known_by or (known_by is None and len(sample.oldest_request) == 32)


def test_messages_with_a_priority_are_counted_and_the_next_request_is_one_of_them(redis):
    lowest, *_, highest = lists_of(REQUESTS_QUEUE)
    redis.lpush(highest, json.dumps({"headers": {"id": "last"}}))
    assert Fleet(redis).sample(now=NOW).oldest_request == "last"

    redis.lpush(lowest, json.dumps({"headers": {"id": "next"}}))
    redis.lpush(lists_of(STEPS_QUEUE)[1], "a", "b")

    sample = Fleet(redis).sample(now=NOW)
    assert sample.queues == {REQUESTS_QUEUE: 2, STEPS_QUEUE: 2, CHANGES_QUEUE: 0, TICKS_QUEUE: 0}
    assert sample.oldest_request == "next"


def test_a_tick_is_noted(redis):
    fleet = Fleet(redis)
    fleet.note_tick("wake", now=NOW)

    assert fleet.sample(now=NOW).ticks == {"wake": NOW}


def test_a_redis_that_does_not_answer_is_asked_once_and_reported_after_the_time_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(StateUnavailable):
            Fleet(
                connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout_seconds=1.0, retries=0)
            ).sample(now=NOW)
        took = time.monotonic() - began
        silent.setblocking(False)
        asked = []
        with contextlib.suppress(BlockingIOError):
            while True:
                asked.append(silent.accept()[0])
        for connection in asked:
            connection.close()

    assert len(asked) == 1
    assert 0.9 < took < 10  # a second, and what a loaded machine adds
