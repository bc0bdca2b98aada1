"""The list item for producers in other languages: taken from docs/producers.md, filled in, and put on a real
Redis."""

from __future__ import annotations

import json
import re
import uuid
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import redis

from certmill.contract import MAX_MESSAGE_BYTES, REQUESTS_QUEUE
from certmill.model.manifests.parse import parse_renewal, parse_request
from tests.support.processes import Server
from workers.broker.messages import Accepted, Message, clean, readable

PAGE = (Path(__file__).parents[2] / "docs" / "producers.md").read_text(encoding="utf-8")


def documented(task: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The item for a task with every placeholder filled in, the body of it, and its id."""
    section = PAGE.split("## From any other language", 1)[1].split("\n## ", 1)[0]
    found, row = (
        re.search(r"```json\n(.*?)```", section, re.DOTALL),
        re.search(rf"^\| `{re.escape(task)}` \| `(.*)` \|$", section, re.MULTILINE),
    )
    assert found is not None
    assert row is not None
    item, body, task_id = json.loads(found[1]), json.loads(row[1]), str(uuid.uuid4())
    recipe = re.fullmatch(r"<base64 of (.*)>", item["body"])
    assert recipe is not None
    content = recipe[1].replace('{"name": "web", …}', row[1])
    item["body"] = b64encode(json.dumps(json.loads(content)).encode()).decode()
    assert item["headers"]["task"] == "certificate.request"
    item["headers"]["task"] = task
    text = json.dumps(item)
    for placeholder, value in (
        ("<uuid>", task_id),
        ("<the same uuid>", task_id),
        ("<another uuid>", str(uuid.uuid4())),
    ):
        assert placeholder in text
        text = text.replace(placeholder, value)
    assert not re.search(r"<[^>]*>|…", text)
    return json.loads(text), body, task_id


def received(server: Server, item: dict[str, Any]) -> Accepted:
    """Put the item on the list as a stranger would, and take it through the two gates as the worker does."""
    with redis.Redis.from_url(server.url) as client:
        client.lpush(REQUESTS_QUEUE, json.dumps(item))
        raw = client.rpop(REQUESTS_QUEUE)
    assert isinstance(raw, bytes)
    assert len(raw) < MAX_MESSAGE_BYTES
    envelope = json.loads(readable(raw, REQUESTS_QUEUE))
    return clean(
        Message(
            queue=envelope["properties"]["delivery_info"]["routing_key"],
            content_type=envelope["content-type"],
            content_encoding=envelope["content-encoding"],
            headers=envelope["headers"],
            body=b64decode(envelope["body"]),
        )
    )


def test_the_pages_item_passes_the_gates_and_is_the_request_that_it_says(server: Server) -> None:
    item, body, task_id = documented("certificate.request")

    accepted = received(server, item)

    args, kwargs, _ = json.loads(accepted.body)
    assert (accepted.headers["task"], accepted.headers["id"], accepted.headers["root_id"]) == (
        "certificate.request",
        task_id,
        task_id,
    )
    assert (args, kwargs) == ([body], {})
    certificate = parse_request(args[0])
    assert certificate.id == "default/web"
    assert certificate.dns_names == ("example.com",)
    assert (certificate.secret_name, certificate.issuer_ref.name) == ("web", "production")


def test_the_pages_item_is_a_renewal_with_the_other_task_and_body(server: Server) -> None:
    item, body, task_id = documented("certificate.renew")

    accepted = received(server, item)

    assert (accepted.headers["task"], accepted.headers["id"]) == ("certificate.renew", task_id)
    assert json.loads(accepted.body)[0] == [body]
    assert parse_renewal(body) == "default/web"
