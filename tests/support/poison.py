"""Messages that stop or mislead a worker without the guard (celery.md §0.3 measured the first twelve), and
the queue for each."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode

from tests.support.processes import item

STEPS, REQUESTS, CHANGES = "certmill.steps", "certmill.requests", "certmill.changes"
LOOK = "reconcile.certificate"
STEP, ID = "certificate.validate", ["default/web"]
_UNKNOWN_TYPE = b'{"__type__": "SECRET", "__value__": 1}'


def _without(header: str) -> bytes:
    envelope = json.loads(item(STEP, ID))
    del envelope["headers"][header]
    return json.dumps(envelope).encode()


def _property(name: str, value: object) -> bytes:
    envelope = json.loads(item(STEP, ID))
    envelope["properties"][name] = value
    return json.dumps(envelope).encode()


def _signature(task: str = STEP, **changes: object) -> dict[str, object]:
    return {
        "task": task,
        "args": ID,
        "kwargs": {},
        "options": {"task_id": "a"},
        "subtask_type": None,
        "immutable": True,
        **changes,
    }


def _body(body: bytes) -> bytes:
    return item(STEP, ID, body=b64encode(body).decode())


TWELVE = {
    "the body is 42": (STEPS, _body(b"42")),
    "no id": (STEPS, _without("id")),
    "not JSON": (STEPS, b"\xff{not json"),
    "not an envelope": (STEPS, b'["not", "an envelope"]'),
    "pickle": (STEPS, item(STEP, ID, **{"content-type": "application/x-python-serialize"})),
    "bad base64": (STEPS, item(STEP, ID, body="%%%a")),
    "unknown task": (STEPS, item("os.system", ID)),
    "ETA in 9999": (STEPS, item(STEP, ID, headers={"eta": "9999-12-31T23:59:59+00:00"})),
    "null headers": (STEPS, item(STEP, ID).replace(b'"headers": {', b'"headers": null, "was": {')),
    "bad JSON in the body": (STEPS, _body(b"[[")),
    "bad ETA": (STEPS, item(STEP, ID, headers={"eta": "soon"})),
    "no arguments": (STEPS, item(STEP, [])),
}

MORE = {
    "an envelope of null": (STEPS, b"null"),
    "an empty item": (STEPS, b""),
    "properties null": (STEPS, item(STEP, ID, properties=None)),
    "an encoding that is none": (STEPS, _property("body_encoding", "rot13")),
    "a body that is a list": (STEPS, item(STEP, ID, body=["x"])),
    "half a surrogate pair": (
        STEPS,
        _property("body_encoding", None).replace(b'"body": "', b'"body": "\\ud800'),
    ),
    "nested without end": (STEPS, b"[" * 50_000),
    "nested a little less": (STEPS, _body(b"[" * 500 + b"]" * 500)),
    "a bomb": (
        STEPS,
        item(
            STEP,
            ID,
            headers={"compression": "application/x-gzip"},
            body=b64encode(zlib.compress(b"0" * 10_000_000)).decode(),
        ),
    ),
    "a megabyte": (STEPS, item(STEP, ["x" * 1_000_000])),
    "one byte too many": (STEPS, _body(b'[["default/web"], {}, null]' + b" " * 65_536)),
    "NaN": (STEPS, _body(b"[[NaN], {}, null]")),
    "the stand-in's own type": (
        STEPS,
        item(STEP, ID, headers={"reason": "SECRET"}, **{"content-type": "application/x-certmill-unreadable"}),
    ),
    "UTF-16": (STEPS, item(STEP, ID, **{"content-encoding": "utf-16"})),
    "a tick as a step": (STEPS, item("tick.wake", [])),
    "Celery's own task": (STEPS, item("celery.chord_unlock", [])),
    "another argument": (STEPS, item(STEP, ["default/web", "x"])),
    "an id with a slash too many": (STEPS, item(STEP, ["default/web/x"])),
    "an id of capitals": (STEPS, item(STEP, ["Default/WEB"])),
    "keyword arguments": (STEPS, _body(b'[["default/web"], {"x": 1}, null]')),
    "a callback": (STEPS, item(STEP, ID, embed={"callbacks": [_signature()]})),
    "an errback": (STEPS, item(STEP, ID, embed={"errbacks": [_signature()]})),
    "a chord": (STEPS, item(STEP, ID, embed={"chord": _signature()})),
    "a group": (STEPS, item(STEP, ID, headers={"group": "g"})),
    "a chain of strangers": (STEPS, item(STEP, ID, embed={"chain": [_signature("os.system")]})),
    "a chain with a link": (
        STEPS,
        item(STEP, ID, embed={"chain": [_signature(options={"link": [_signature()]})]}),
    ),
    "a chain to another queue": (
        STEPS,
        item(STEP, ID, embed={"chain": [_signature(options={"queue": "elsewhere"})]}),
    ),
    "a chain with keyword arguments": (STEPS, item(STEP, ID, embed={"chain": [_signature(kwargs={"x": 1})]})),
    "a chain with a chord": (STEPS, item(STEP, ID, embed={"chain": [_signature(subtask_type="chord")]})),
    "a chain of an unknown type": (STEPS, item(STEP, ID, embed={"chain": [_signature(subtask_type=["x"])]})),
    "a chain that is no list": (STEPS, item(STEP, ID, embed={"chain": {"task": STEP}})),
    "a chain of hundreds": (STEPS, item(STEP, ID, embed={"chain": [_signature()] * 300})),
    "an id that is a list": (STEPS, item(STEP, ID, headers={"id": ["x"]})),
    "a task id of HTML": (STEPS, item(STEP, ID, headers={"id": "<script>alert(1)</script>"})),
    "a bad expires": (STEPS, item(STEP, ID, headers={"expires": "soon"})),
    "expires in year one": (STEPS, item(STEP, ID, headers={"expires": "0001-01-01T00:00:00+14:00"})),
    "a typed value": (
        REQUESTS,
        item("certificate.request", [{"name": "web", "spec": {"__type__": "decimal", "__value__": "1"}}]),
    ),
    "a typed header": (STEPS, item(STEP, ID, headers={"x": {"__type__": "uuid", "__value__": ["SECRET"]}})),
    "a typed header in escapes": (
        STEPS,
        item(STEP, ID, headers={"x": {"__type__": "datetime", "__value__": "SECRET"}}).replace(
            b"__type__", b"\\u005f_type__"
        ),
    ),
    "a typed content type": (
        REQUESTS,
        item("certificate.request", [{"name": "web", "spec": {}}]).replace(
            b'"application/json"', _UNKNOWN_TYPE
        ),
    ),
    "a step as a request": (REQUESTS, item(STEP, ID, queue=REQUESTS)),
    "a request that says it is a step": (REQUESTS, item(STEP, ID, queue=STEPS)),
    "a request that is a string": (REQUESTS, item("certificate.request", ["default/web"], queue=REQUESTS)),
    "a request with a chain": (
        REQUESTS,
        item("certificate.request", [{"name": "web", "spec": {}}], embed={"chain": [_signature()]}),
    ),
    "a step as a look": (CHANGES, item(STEP, ID)),
    "a look as a step": (STEPS, item(LOOK, ID)),
    "a look as a request": (REQUESTS, item(LOOK, ID)),
    "a look at another kind": (CHANGES, item("reconcile.secret", ID)),
    "a look at nothing": (CHANGES, item(LOOK, [])),
    "a look at two": (CHANGES, item(LOOK, ["default/web", "default/mail"])),
    "a look at a path": (CHANGES, item(LOOK, ["default/../web"])),
    "a look at a parent": (CHANGES, item("reconcile.clusterissuer", [".."])),
    "a look at capitals": (CHANGES, item("reconcile.clusterissuer", ["Prod"])),
    "a look at no name": (CHANGES, item("reconcile.clusterissuer", [""])),
    "a look at an object": (CHANGES, item(LOOK, [{"name": "web"}])),
    "a look with a chain": (CHANGES, item(LOOK, ID, embed={"chain": [_signature()]})),
    "a look with a callback": (CHANGES, item(LOOK, ID, embed={"callbacks": [_signature()]})),
    "a look in a year": (CHANGES, item(LOOK, ID, headers={"eta": "2030-01-01T00:00:00+00:00"})),
    "a request that is not JSON": (REQUESTS, b"GET / HTTP/1.1"),
}
