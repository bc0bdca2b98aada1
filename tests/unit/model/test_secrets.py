"""Secrets: what is read, and that no error ever shows a value."""

from __future__ import annotations

import base64

import pytest

from certmill.model.manifests.parse import dump_yaml, parse_documents
from certmill.model.manifests.schema_secret import MAX_SECRET_BYTES, SecretManifest, secret_of
from certmill.model.secret import Secret
from tests.support.manifest_bodies import a_secret_body

VALUE = "hunter2"


def refusal(text):
    documents, wrong = parse_documents(text, source="secret.yaml")
    assert documents == []
    (error,) = wrong
    return error


def test_string_data_goes_over_data():
    body = a_secret_body(
        data={"a": "b25l", "b": "dHdv\n"},
        stringData={"b": "zwei", "tls.crt": "ü"},
        type="example.com/x",
        immutable=True,
    )
    body["metadata"] |= {"labels": {"a": "b"}, "annotations": {"c": "d"}}

    (document,), wrong = parse_documents(dump_yaml(body), source="secret.yaml")

    assert wrong == []
    assert document.value == Secret(
        namespace="prod",
        name="token",
        type="example.com/x",
        data={"a": b"one", "b": b"zwei", "tls.crt": "ü".encode()},
        labels={"a": "b"},
        annotations={"c": "d"},
    )


def test_a_secret_is_opaque_and_empty_by_default():
    (document,), _ = parse_documents(dump_yaml(a_secret_body()), source="secret.yaml")

    assert document.value == Secret(namespace="prod", name="token", data={}, type="Opaque")


def test_neither_a_document_nor_a_secret_shows_its_values():
    (document,), _ = parse_documents(dump_yaml(a_secret_body(stringData={"a": VALUE})), source="secret.yaml")

    assert VALUE in document.text
    assert VALUE not in repr(document)
    assert VALUE not in str(document)
    assert VALUE not in repr(
        SecretManifest.model_validate(a_secret_body(stringData={"a": VALUE}, data={"b": VALUE}))
    )


WRONG = {
    "data that is not base64": ({"data": {"a": f"{VALUE}!"}}, "data.a", "base64"),
    "data without padding": ({"data": {"a": VALUE}}, "data.a", "base64"),
    "data as a number": ({"data": {"a": 7}}, "data.a", "must be a string"),
    "a value that is null": ({"stringData": {"a": None}}, "stringData.a", "must be a string"),
    "a value that is a mapping": ({"stringData": {"a": {VALUE: VALUE}}}, "stringData.a", "must be a string"),
    "data as a list": ({"data": [VALUE]}, "data", "must be a mapping"),
    "data as a string": ({"stringData": VALUE}, "stringData", "must be a mapping"),
    "a key that is a path": ({"stringData": {"../a": VALUE}}, "stringData[../a]", "not a valid key"),
    "a key that is two dots": ({"data": {"..": "aGk="}}, "data[..]", "not a valid key"),
    "a key with a blank": ({"stringData": {"a b": VALUE}}, "stringData[a b]", "not a valid key"),
    "a long key": ({"stringData": {"a" * 254: VALUE}}, None, "not a valid key"),
    "a value beside the data": ({"token": VALUE}, "token", "not a known field"),
    "a type on two lines": ({"type": "a\nb"}, "type", "one line"),
    "immutable as a word": ({"immutable": VALUE}, "immutable", "true or false"),
}


@pytest.mark.parametrize(("fields", "path", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_secret_is_refused_with_its_path_and_without_its_value(fields, path, says):
    error = refusal(dump_yaml(a_secret_body(**fields)))

    assert path in (None, error.path)
    assert says in error.reason
    assert VALUE not in str(error)


HEAD = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}  a: '{VALUE}",
        f"{HEAD}  a: b: {VALUE}",
        f"{HEAD}  a: *{VALUE}",
        f"{HEAD}  a: !{VALUE} x",
        f"{HEAD}  a: &{VALUE} [x]",
        f"{HEAD}  a: x\n  a: {VALUE}",
        f"{HEAD}  a: @{VALUE}",
        f'{HEAD}  a: "\\{VALUE}"',
        f"{HEAD}\ta: {VALUE}",
        f"{HEAD}  - {VALUE}",
        f"{HEAD}  a: {VALUE}\x07",
        f"{HEAD}  a: [{VALUE}, {{b: {VALUE}}}]",
    ],
)
def test_wrong_yaml_never_shows_a_value(text):
    assert VALUE not in str(refusal(text))


def test_the_values_are_1_mib_at_most():
    half = "x" * (MAX_SECRET_BYTES // 2)
    small = SecretManifest.model_validate(a_secret_body(stringData={"a": half, "b": half}))
    large = SecretManifest.model_validate(
        a_secret_body(stringData={"a": half, "b": half}, data={"c": base64.b64encode(b"x").decode()})
    )

    assert len(secret_of(small, "prod").data["a"]) == MAX_SECRET_BYTES // 2
    with pytest.raises(Exception, match=r"^data: its values are larger than 1048576 bytes"):
        secret_of(large, "prod")
