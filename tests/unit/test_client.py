"""The client for other services: what it sends, and how a handle waits."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from certmill import Client
from certmill.client import (
    ASK_AGAIN_SECONDS,
    UNKNOWN_SECONDS,
    Handle,
    IssuanceFailed,
    RequestRejected,
    RequestUnknown,
    Status,
    StillWaiting,
)
from certmill.contract import MAX_MESSAGE_BYTES, REQUESTS_QUEUE, envelope, new_request_id, sent_at
from certmill.errors import InvalidManifest, StateUnavailable
from certmill.testing.clock import FakeClock


class Sent(list[tuple[object, ...]]):
    """A send_task that keeps what it is given."""

    def __call__(self, name, *, args, queue, task_id, argsrepr, **options):
        self.append((name, args, queue, task_id, argsrepr))


def a_handle(*statuses, clock=None, send_again=None):
    """A handle that sees these, the last one again and again."""
    seen = list(statuses)
    return Handle(
        "id",
        "default/web",
        lambda _: seen.pop(0) if len(seen) > 1 else seen[0],
        clock or FakeClock(0.0),
        send_again,
    )


def test_a_request_is_one_message_with_the_spec_as_json():
    sent = Sent()

    handle = Client(sent).request(name="web", dns_names=["web.example.com"], issuer="prod", duration="2160h")

    ((name, args, queue, task_id, argsrepr),) = sent
    assert (name, queue, argsrepr) == ("certificate.request", REQUESTS_QUEUE, "('default/web',)")
    assert task_id == handle.id
    assert args[0] == {
        "name": "web",
        "namespace": "default",
        "spec": {
            "secretName": "web",
            "issuerRef": {"name": "prod"},
            "duration": "2160h",
            "dnsNames": ["web.example.com"],
        },
    }


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"dns_names": ["a b"]}, r"spec\.dnsNames\[0\]"),
        ({"dns_names": []}, "spec"),
        ({"dns_names": "a.test"}, r"spec\.dnsNames: must be a list of names: write dns_names=\['a\.test'\]$"),
        ({"ip_addresses": "192.0.2.1"}, r"spec\.ipAddresses: must be a list of names: write ip_addresses="),
        ({"ip_addresses": ["1.2.3"]}, r"spec\.ipAddresses\[0\]"),
        ({"dns_names": ["x.test"], "nonsense": 1}, r"spec\.nonsense"),
        ({"name": "../../etc", "dns_names": ["x.test"]}, "name"),
    ],
)
def test_a_wrong_request_is_refused_here_with_the_path_of_the_field(wrong, path):
    sent = Sent()

    with pytest.raises(InvalidManifest, match=path):
        Client(sent).request(**{"name": "web", "issuer": "prod"} | wrong)
    assert sent == []


def test_a_renewal_is_one_message_with_the_name():
    sent = Sent()

    Client(sent).renew("web", namespace="shop")

    assert sent[0][:3] == ("certificate.renew", ({"name": "web", "namespace": "shop"},), REQUESTS_QUEUE)


def test_a_client_that_can_only_send_says_so_when_asked_for_status():
    handle = Client(Sent()).renew("web")

    with pytest.raises(StateUnavailable, match="only send"):
        handle.status()


def test_waiting_ends_with_the_certificate_or_the_reason():
    assert (
        a_handle(Status(phase="queued"), Status(phase="issuing", step="finalize"), Status(phase="issued"))
        .wait(10)
        .phase
        == "issued"
    )
    with pytest.raises(IssuanceFailed, match="caa"):
        a_handle(Status(phase="failed", reason="caa")).wait(10)
    with pytest.raises(RequestRejected, match=r"spec\.x"):
        a_handle(Status(phase="rejected", reason="spec.x")).wait(10)
    with pytest.raises(StillWaiting, match="ns2 does not have it yet"):
        a_handle(Status(phase="waiting", reason="ns2 does not have it yet")).wait(10)


@pytest.mark.parametrize("seconds", [0.05, 0.13, 0.9, 30.0])
def test_a_wait_ends_soon_after_its_run_and_polls_a_slow_run_rarely(seconds):
    clock, polls = FakeClock(0.0), []

    def read(*_: object) -> Status:
        polls.append(clock.now())
        return Status(phase="issued" if clock.now() >= seconds else "issuing")

    Handle("id", "default/web", read, clock).wait(60)

    assert clock.now() <= seconds + max(0.01, min(0.1 * seconds, 0.2)) + 1e-6
    assert len(polls) < 40 + seconds / 0.2


def test_a_request_that_nobody_takes_is_sent_again_and_one_that_was_taken_is_not():
    again = []
    with pytest.raises(StillWaiting):
        a_handle(Status(phase="queued"), send_again=lambda: again.append(1)).wait(2.5 * ASK_AGAIN_SECONDS)
    assert len(again) == 2

    with pytest.raises(StillWaiting):
        a_handle(Status(phase="waiting", reason="x"), send_again=lambda: again.append(1)).wait(
            2.5 * ASK_AGAIN_SECONDS
        )
    assert len(again) == 2


def test_a_time_out_says_that_no_worker_has_taken_it_up():
    with pytest.raises(StillWaiting, match=r"is not issued after 10 s: no worker has taken it up yet$"):
        a_handle(Status(phase="queued")).wait(10)


def test_a_request_that_nothing_knows_of_ends_the_wait_and_ones_own_is_sent_again():
    clock, again = FakeClock(0.0), []
    unknown = Status(phase="unknown", reason="nothing knows of the request x")
    with pytest.raises(RequestUnknown, match="nothing knows of the request x"):
        a_handle(unknown, clock=clock).wait(300)
    assert UNKNOWN_SECONDS <= clock.now() <= UNKNOWN_SECONDS + 2

    with pytest.raises(StillWaiting):
        a_handle(unknown, send_again=lambda: again.append(1)).wait(2.5 * ASK_AGAIN_SECONDS)
    assert len(again) == 2


def test_an_id_of_a_request_reports_when_it_was_sent_and_another_does_not():
    first, second = new_request_id(1_800_000_000.25), new_request_id(1_800_000_000.25)

    assert first != second
    assert sent_at(first) == sent_at(second) == 1_800_000_000.25
    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert sent_at(str(uuid.uuid4())) is None
    assert sent_at("no uuid") is None


def test_the_envelope_is_celerys_protocol_2():
    message = envelope(
        "certificate.renew",
        ({"name": "web"},),
        queue=REQUESTS_QUEUE,
        task_id="id",
        argsrepr="x",
        origin="here",
    )

    args, kwargs, embed = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs, embed["chain"]) == ([{"name": "web"}], {}, None)
    assert message["headers"]["task"] == "certificate.renew"
    assert message["properties"]["delivery_info"]["routing_key"] == REQUESTS_QUEUE
    assert len(json.dumps(message)) < MAX_MESSAGE_BYTES
