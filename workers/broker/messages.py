"""Checks and cleans a message before it reaches a task. Pure functions, without a broker.

There are two checks. `readable` checks an item as it was in Redis: it must be an envelope that kombu can
parse. The caller gives the queue in which it really was, because the writer of the envelope can write any
queue into it. `clean` checks the message: a task that this queue allows, our arguments, and nothing that
Celery would execute by itself (callbacks, chords, a foreign chain, an ETA). Headers are written anew, so that
nothing that an unknown sender wrote reaches Flower."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from dataclasses import dataclass

from certmill.contract import (
    CHANGES_QUEUE,
    MAX_LEFT,
    MAX_MESSAGE_BYTES,
    REQUESTS_QUEUE,
    STEP_TASKS,
    STEPS_QUEUE,
    TASKS_OF_QUEUE,
    TICKS_QUEUE,
)
from certmill.model.identifiers import is_object_name
from workers.broker.headers import Refusal, headers_of, is_certificate_id, is_task_id, requested

UNREADABLE = "application/x-certmill-unreadable"
"""Content type of the envelope that replaces an item which could not be read. Its header `reason` says
why."""

_MAX_ITEM_BYTES = 2 * MAX_MESSAGE_BYTES  # base64 makes a body 4/3 as long; the rest is for headers
_MAX_DEPTH = (
    64  # a deeper item can be parsed here and cause a RecursionError where it is written or parsed again
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message, as the consumer received it."""

    queue: str
    content_type: object
    content_encoding: object
    headers: object
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The headers and the body of an accepted message."""

    headers: dict[str, object]
    body: bytes


def digest(content: bytes) -> str:
    """Twelve hex digits that distinguish refused contents in a log."""
    return hashlib.sha256(content).hexdigest()[:12]


def readable(item: bytes, queue: str) -> bytes:
    """Return the envelope in `item`, cleaned and marked as coming from `queue`. If there is no valid
    envelope, return one of type UNREADABLE with the reason."""
    try:
        envelope = _envelope(item)
    except Refusal as refusal:
        envelope = {
            "body": "",
            "content-type": UNREADABLE,
            "content-encoding": "utf-8",
            "headers": {"reason": str(refusal), "sha256": digest(item)},
            "properties": {},
        }
    properties = envelope["properties"]
    assert isinstance(properties, dict)
    # The queue decides which tasks are allowed, and the tag is a key in Redis. The writer may choose neither.
    properties["delivery_info"] = {"exchange": "", "routing_key": queue}
    properties["delivery_tag"] = str(uuid.uuid4())
    return json.dumps(envelope).encode()


def _envelope(item: bytes) -> dict[str, object]:
    if len(item) > _MAX_ITEM_BYTES:
        raise Refusal(f"the message is larger than {MAX_MESSAGE_BYTES} bytes")
    envelope = _parse(item, "the message is not JSON")
    if not isinstance(envelope, dict) or not isinstance(envelope.get("properties"), dict):
        raise Refusal("the message is not a kombu envelope")
    headers, body, properties = envelope.get("headers"), envelope.get("body"), envelope["properties"]
    if not isinstance(headers, dict):
        raise Refusal("the message has no headers: Celery's message protocol 2 is required")
    if "compression" in headers:
        raise Refusal("the message is compressed")
    if envelope.get("content-type") == UNREADABLE:
        raise Refusal("the content type is not application/json")
    if not isinstance(body, str):
        raise Refusal("the body is not a string")
    encoding = properties.get("body_encoding")
    _check_body_encoding(body, encoding)
    if _has_typed_values(item, {**envelope, "body": ""}):
        raise Refusal("typed values are not accepted")
    priority = properties.get("priority")
    kept = {
        "body_encoding": encoding,
        "delivery_mode": 2,
        "priority": priority if type(priority) is int and 0 <= priority <= 9 else 0,
    }
    return {
        **{key: envelope.get(key) for key in ("body", "content-type", "content-encoding", "headers")},
        "properties": kept,
    }


def _check_body_encoding(body: str, encoding: object) -> None:
    if encoding not in (None, "utf-8", "base64"):
        raise Refusal("the body's encoding is neither base64 nor utf-8")
    try:
        if encoding == "base64":
            base64.b64decode(body)
        else:
            body.encode()
    except ValueError:  # binascii.Error, or half of a surrogate pair
        raise Refusal("the body is not what its encoding says") from None


def clean(message: Message) -> Accepted:
    """Return the headers and the body that may reach a task. Raises Refusal with the reason."""
    headers = message.headers
    if not isinstance(headers, dict):
        raise Refusal("the message has no headers")
    if message.content_type == UNREADABLE:
        raise Refusal(str(headers.get("reason")))
    if message.content_type != "application/json" or message.content_encoding != "utf-8":
        raise Refusal("the content type is not application/json in utf-8")
    if len(message.body) > MAX_MESSAGE_BYTES:
        raise Refusal(f"the body is larger than {MAX_MESSAGE_BYTES} bytes")
    task, task_id = headers.get("task"), headers.get("id")
    if not isinstance(task, str) or task not in TASKS_OF_QUEUE.get(message.queue, frozenset()):
        raise Refusal("the task is not one that this queue allows")
    if not is_task_id(task_id):
        raise Refusal("the header `id` is not a task id")
    if headers.get("eta") is not None:
        raise Refusal("a message with an ETA is not accepted")
    args, kwargs, embed = _parts(message.body)
    if kwargs:
        raise Refusal("keyword arguments are not accepted")
    _check_canvas(headers, embed, chains=message.queue == STEPS_QUEUE)
    _check_arguments(args, message.queue)
    return Accepted(headers=headers_of(headers, args, message.queue), body=_body(message, args))


def certificate_of(message: Message) -> str:
    """Return the `namespace/name` of a refused request, or an empty string if it is missing or not valid."""
    try:
        args = _parts(message.body)[0]
    except Refusal:
        return ""
    return requested(args)


def id_of(message: Message) -> str:
    """Return the task id of a refused message, or an empty string if it is not valid."""
    task_id = message.headers.get("id") if isinstance(message.headers, dict) else None
    return task_id if isinstance(task_id, str) and is_task_id(task_id) else ""


def _parse(content: bytes, complaint: str) -> object:
    try:
        parsed: object = _DECODER.decode(content.decode())
    except (ValueError, RecursionError):
        raise Refusal(complaint) from None
    level = [parsed]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, list | dict)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return parsed
    raise Refusal("the message is nested too deeply")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON (RFC 8259 §6)")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)  # json.loads would build one for each message


def _parts(body: bytes) -> tuple[list[object], dict[str, object], dict[str, object]]:
    parts = _parse(body, "the body is not JSON")
    if not isinstance(parts, list) or len(parts) != 3:
        raise Refusal("the body is not [args, kwargs, embed]")
    args, kwargs, embed = parts
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embed, dict | None):
        raise Refusal("the body is not [args, kwargs, embed]")
    if _has_typed_values(body, parts):
        raise Refusal("typed values are not accepted")
    return args, kwargs, embed or {}


def _has_typed_values(content: bytes, parsed: object) -> bool:
    """Whether kombu would turn a {"__type__": …, "__value__": …} of this JSON into an object. This can fail,
    which ends the worker if it is in the envelope. Plain JSON does not need them."""
    return b'"__type__"' in content or (b"\\u" in content and "__type__" in json.dumps(parsed))


def _check_canvas(headers: dict[str, object], embed: dict[str, object], *, chains: bool) -> None:
    if (
        any(embed.get(key) for key in ("callbacks", "errbacks", "chord"))
        or headers.get("group")
        or headers.get("chord")
    ):
        raise Refusal("callbacks, groups and chords are not accepted")
    chain = embed.get("chain")
    if not chain:
        return
    if (
        not chains
        or not isinstance(chain, list)
        or len(chain) > len(STEP_TASKS)
        or not all(_is_step(signature) for signature in chain)
    ):
        raise Refusal("a chain of anything but our own steps is not accepted")


def _is_step(signature: object) -> bool:
    if (
        not isinstance(signature, dict)
        or signature.get("task") not in STEP_TASKS
        or any(signature.get(key) for key in ("kwargs", "chord_size", "subtask_type"))
    ):
        return False
    args, options = signature.get("args"), signature.get("options")
    if (
        not isinstance(args, list)
        or len(args) != 1
        or not is_certificate_id(args[0])
        or not isinstance(options, dict)
    ):
        return False
    return options.get("queue", STEPS_QUEUE) == STEPS_QUEUE and not any(
        options.get(key)
        for key in (
            "link",
            "link_error",
            "chord",
            "chain",
            "exchange",
            "routing_key",
            "eta",
            "countdown",
            "group_id",
        )
    )


def _check_arguments(args: list[object], queue: str) -> None:
    if queue == STEPS_QUEUE and not (len(args) == 1 and is_certificate_id(args[0])):
        raise Refusal("a step takes one argument, namespace/name of a Certificate")
    if queue == REQUESTS_QUEUE and not (len(args) == 1 and isinstance(args[0], dict)):
        raise Refusal("a request takes one argument, an object")
    if queue == CHANGES_QUEUE and not (
        1 <= len(args) <= 2 and _is_reference(args[0]) and all(_is_left(one) for one in args[1:])
    ):
        raise Refusal(
            "a reconcile takes namespace/name of an object, or its name, and perhaps names of Certificates "
            "that it has left"
        )
    if queue == TICKS_QUEUE and args:
        raise Refusal("a tick takes no argument")


def _body(message: Message, args: list[object]) -> bytes:
    """Write a request's body anew, without what its producer may have embedded. The parts of our own messages
    were checked, so their body is not changed. Raises Refusal."""
    if message.queue != REQUESTS_QUEUE:
        return message.body
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    try:
        return json.dumps([args, {}, embed], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refusal("the body has half of a surrogate pair in it") from None


def _is_reference(value: object) -> bool:
    return is_certificate_id(value) or (isinstance(value, str) and is_object_name(value))


def _is_left(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_LEFT
        and all(isinstance(one, str) and is_object_name(one) for one in value)
    )
