"""The two gates of workers.broker.messages, without a broker."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.json import loads

from certmill.contract import CHANGES_QUEUE, MAX_LEFT, RECONCILE_TASKS, TASKS_OF_QUEUE
from tests.support.poison import MORE, TWELVE
from tests.support.processes import item
from workers.broker.headers import Refusal
from workers.broker.messages import UNREADABLE, Accepted, Message, certificate_of, clean, id_of, readable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _received(raw: bytes, queue: str) -> Message:
    envelope = loads(readable(raw, queue).decode())  # as kombu parses it
    properties = envelope["properties"]
    body = envelope["body"]
    return Message(
        queue=properties["delivery_info"]["routing_key"],
        content_type=envelope["content-type"],
        content_encoding=envelope["content-encoding"],
        headers=envelope["headers"],
        body=b64decode(body) if properties.get("body_encoding") == "base64" else body.encode(),
    )


def _accepted(raw: bytes, queue: str = "certmill.steps") -> Accepted:
    return clean(_received(raw, queue))


@pytest.mark.parametrize("name", [*TWELVE, *MORE])
def test_poison_is_refused_with_a_reason_that_holds_none_of_it(name: str) -> None:
    queue, raw = {**TWELVE, **MORE}[name]

    with pytest.raises(Refusal) as refusal:
        _accepted(raw, queue)

    assert "SECRET" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_step_with_the_rest_of_its_chain_is_accepted() -> None:
    signature = {
        "task": "certificate.finalize",
        "args": ["default/web"],
        "kwargs": {},
        "options": {"task_id": "b", "root_id": "r"},
        "immutable": True,
    }
    raw = item(
        "certificate.validate",
        ["default/web"],
        embed={"callbacks": None, "errbacks": None, "chain": [signature], "chord": None},
    )

    accepted = _accepted(raw)

    assert json.loads(accepted.body)[2]["chain"] == [signature]
    assert accepted.headers["argsrepr"] == "('default/web',)"


def test_a_step_keeps_its_root_parent_and_expiry() -> None:
    raw = item(
        "certificate.validate",
        ["default/web"],
        headers={"root_id": "r", "parent_id": "p", "expires": "2026-01-01T00:00:00"},
    )

    headers = _accepted(raw).headers

    assert (headers["root_id"], headers["parent_id"]) == ("r", "p")
    assert str(headers["expires"]).startswith("2026-01-01T")


def test_a_step_shows_what_began_its_run_and_nothing_else() -> None:
    shown = "{'trigger': 'renewal', 'run': 17}"

    assert (
        _accepted(item("certificate.validate", ["default/web"], headers={"kwargsrepr": shown})).headers[
            "kwargsrepr"
        ]
        == shown
    )
    for other in (
        "{'trigger': 'SECRET'}",
        "{'trigger': 'renewal', 'run': 'SECRET'}",
        shown + " ",
        shown + "\n",
        None,
        5,
        [shown],
    ):
        headers = _accepted(
            item("certificate.validate", ["default/web"], headers={"kwargsrepr": other})
        ).headers
        assert headers["kwargsrepr"] == "{}"


def test_a_step_that_is_its_own_root_has_no_parent() -> None:
    headers = _accepted(
        item("certificate.validate", ["default/web"], headers={"id": "a", "root_id": "a", "parent_id": "a"})
    ).headers

    assert (headers["root_id"], headers["parent_id"]) == ("a", None)


def test_of_a_request_only_its_task_its_id_and_its_object_are_left() -> None:
    stranger = {
        "root_id": "r",
        "parent_id": "p",
        "retries": 9,
        "timelimit": [1, 1],
        "shadow": "shown",
        "stamps": {"x": "y"},
        "origin": "me",
        "lang": "go",
    }
    body = {"name": "web", "namespace": "shop", "spec": {"dnsNames": ["ü.example"]}}
    raw = item("certificate.request", [body], headers=stranger)

    accepted = _accepted(raw, "certmill.requests")

    assert json.loads(accepted.body) == [
        [body],
        {},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]
    assert accepted.headers == {
        "lang": "py",
        "task": "certificate.request",
        "id": accepted.headers["id"],
        "root_id": accepted.headers["id"],
        "parent_id": None,
        "group": None,
        "shadow": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "('shop/web',)",
        "kwargsrepr": "{'trigger': 'request'}",
        "origin": None,
    }


@pytest.mark.parametrize("kind", RECONCILE_TASKS)
def test_a_reconcile_request_is_accepted_with_its_name_and_nothing_else(kind: str) -> None:
    name = "prod.eu" if kind == "ClusterIssuer" else "default/web"

    accepted = _accepted(item(RECONCILE_TASKS[kind], [name], headers={"root_id": "r"}), CHANGES_QUEUE)

    assert json.loads(accepted.body)[:2] == [[name], {}]
    assert (accepted.headers["argsrepr"], accepted.headers["root_id"]) == (f"('{name}',)", "r")


def test_a_reconcile_request_may_name_the_certificates_that_an_object_has_left() -> None:
    accepted = _accepted(item(RECONCILE_TASKS["Ingress"], ["default/shop", ["a", "b.eu"]]), CHANGES_QUEUE)

    assert json.loads(accepted.body)[0] == ["default/shop", ["a", "b.eu"]]
    assert accepted.headers["argsrepr"] == "('default/shop',)"


@pytest.mark.parametrize("left", ["a", ["a/b"], [1], [["a"]], [""], ["a"] * (MAX_LEFT + 1), {"a": 1}, None])
def test_and_nothing_else_besides(left: object) -> None:
    with pytest.raises(Refusal, match="perhaps names of Certificates"):
        _accepted(item(RECONCILE_TASKS["Ingress"], ["default/shop", left]), CHANGES_QUEUE)


@pytest.mark.parametrize("name", ["x" * 253, f"{'x' * 64}.eu", "a.b"])
def test_an_object_may_have_any_name_that_kubernetes_allows(name: str) -> None:
    accepted = _accepted(item(RECONCILE_TASKS["Certificate"], [f"default/{name}"]), CHANGES_QUEUE)

    assert json.loads(accepted.body)[0] == [f"default/{name}"]


@pytest.mark.parametrize(
    "name",
    [
        "default/" + "x" * 254,
        f"{'x' * 64}/web",
        "default/a..b",
        "default/a.-b",
        "default/..",
        "a/b/c",
        "default/%2e",
    ],
)
def test_and_no_other(name: str) -> None:
    with pytest.raises(Refusal):
        _accepted(item(RECONCILE_TASKS["Certificate"], [name]), CHANGES_QUEUE)


def test_no_task_is_allowed_on_two_queues() -> None:
    tasks = [task for allowed in TASKS_OF_QUEUE.values() for task in allowed]

    assert len(tasks) == len(set(tasks))


@pytest.mark.parametrize("name", ["<b>", "a b", "", "-web", "x" * 254, "web\n", 7, None])
def test_a_request_for_no_clean_name_is_shown_as_a_question_mark(name: object) -> None:
    accepted = _accepted(item("certificate.renew", [{"name": name}]), "certmill.requests")

    assert accepted.headers["argsrepr"] == "('?',)"


def test_a_refused_request_says_whose_it_is_as_far_as_its_words_are_clean() -> None:
    received = _received(
        item("certificate.renew", [{"name": "web"}], headers={"eta": "soon", "id": "abc"}),
        "certmill.requests",
    )

    assert (id_of(received), certificate_of(received)) == ("abc", "default/web")


def test_the_queue_and_the_tag_are_not_the_writers_to_choose() -> None:
    raw = item("certificate.validate", ["default/web"], queue="certmill.steps")

    properties = json.loads(readable(raw, "certmill.requests"))["properties"]

    assert properties["delivery_info"] == {"exchange": "", "routing_key": "certmill.requests"}
    assert properties["delivery_tag"] != json.loads(raw)["properties"]["delivery_tag"]


@given(st.binary(max_size=300))
def test_any_bytes_make_an_envelope(raw: bytes) -> None:
    envelope = json.loads(readable(raw, "certmill.steps"))

    assert envelope["content-type"] == UNREADABLE
    assert envelope["properties"]["delivery_info"]["routing_key"] == "certmill.steps"


@given(
    body=JSON,
    headers=st.dictionaries(
        st.sampled_from(["id", "task", "eta", "expires", "root_id", "retries", "group"]), JSON
    ),
    queue=st.sampled_from(list(TASKS_OF_QUEUE)),
)
def test_any_message_is_accepted_or_refused(body: object, headers: dict[str, object], queue: str) -> None:
    raw = item("certificate.validate", ["default/web"], headers=headers, body=json.dumps(body))
    envelope = json.loads(raw)
    envelope["properties"]["body_encoding"] = None

    try:
        accepted = _accepted(json.dumps(envelope).encode(), queue)
    except Refusal:
        return
    assert json.loads(accepted.body)
