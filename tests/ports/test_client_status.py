"""What a client can know of a request on a real Redis: in the queue, taken up, or of nothing at all."""

from __future__ import annotations

import uuid

import pytest

from certmill import contract
from certmill.client import UNKNOWN_SECONDS, Client
from certmill.model.names import CertificateId
from certmill.model.status import NO_WORKER
from certmill.model.trigger import Origin
from certmill.state.opened import open_state
from certmill.state.queues import lists_of
from certmill.state.requests import Acceptance
from certmill.state.server.connection import connect
from certmill.testing.clock import FakeClock

WEB = CertificateId("default/web")
NOW = 1_800_000_000.0


@pytest.fixture
def state(redis_server):
    state = open_state(redis_server.url.replace("/0", "/9"))
    state.client.flushdb()
    yield state
    state.client.flushdb()
    state.client.close()


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def client(state, clock):
    return Client(state.send, state=state.client, clock=clock)


def test_a_request_is_queued_as_long_as_it_waits_in_the_queue(client, clock):
    handle = client.renew("web")
    clock.advance(86_400)

    assert handle.status().phase == "queued"


def test_a_request_that_waits_with_a_priority_is_queued_and_not_unknown(client, clock, state):
    handle = client.renew("web")
    state.client.rename(contract.REQUESTS_QUEUE, lists_of(contract.REQUESTS_QUEUE)[2])
    clock.advance(UNKNOWN_SECONDS + 1)

    assert handle.status().phase == "queued"
    assert client.handle(contract.new_request_id(NOW), WEB).status().phase == "unknown"


def test_a_request_that_a_worker_works_on_is_queued_and_a_lost_one_is_unknown(client, clock, state):
    handle = client.renew("web")
    state.client.delete(contract.REQUESTS_QUEUE)

    clock.advance(UNKNOWN_SECONDS - 1)
    assert handle.status().phase == "queued"
    clock.advance(2)
    assert handle.status().phase == "unknown"
    assert handle.status().reason.startswith(f"nothing knows of the request {handle.id}: it was lost")


@pytest.mark.parametrize(
    "id_",
    ["nonsense", str(uuid.uuid4()), contract.new_request_id(NOW - 4 * 86_400)],
    ids=["nonsense", "of no time", "four days old"],
)
def test_an_id_that_nothing_knows_of_is_unknown_also_while_others_wait(client, id_):
    assert client.handle(id_, WEB).status().phase == "unknown"
    client.renew("another")
    assert client.handle(id_, WEB).status().phase == "unknown"


def test_an_accepted_request_says_that_no_worker_has_taken_its_step_up(client, clock, state):
    handle = client.renew("web")
    steps, spec = ("register_account", "clean_up"), "s"
    state.records.begin(WEB, now=NOW, steps=steps, spec=spec, origin=Origin(), in_flight_until=NOW + 10)
    state.requests.accept(handle.id, Acceptance(certificate=WEB, run=1))

    assert (handle.status().phase, handle.status().reason) == ("issuing", "")
    clock.advance(5)
    assert (handle.status().phase, handle.status().line) == ("issuing", NO_WORKER)
    state.records.claim(WEB, "register_account", now=clock.now(), lease_seconds=60, task_id="t", root_id="r")
    assert handle.status().line == "register_account"


def test_a_user_that_may_not_read_the_queue_gets_what_is_known(redis_server, state, clock):
    url = redis_server.url.replace("/0", "/9")
    rights = (
        "resetchannels ~certmill.requests* %R~certmill:certificate:* %R~certmill:request:* -@all +llen +get "
        "+hgetall +select +ping +hello"
    )
    state.client.execute_command("ACL", "SETUSER", "looker", "on", ">pw", "resetkeys", *rights.split())
    try:
        with connect(url.replace("redis://", "redis://looker:pw@")) as redis:
            handle = Client(state.send, state=redis, clock=clock).handle("nonsense", WEB)
            assert handle.status().phase == "unknown"
            state.client.lpush(contract.REQUESTS_QUEUE, "another")
            assert handle.status().phase == "queued"
    finally:
        state.client.execute_command("ACL", "DELUSER", "looker")
