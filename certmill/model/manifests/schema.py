"""Base of the schemas: strict pydantic models with Kubernetes' field names, metadata, and pydantic's errors
as one InvalidManifest with the path of the field.

A schema checks single fields; `*_rules` check combinations and decide which fields certmill supports. As in
Kubernetes, null in an optional field means that the field is not set."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from certmill.errors import InvalidManifest
from certmill.model.durations import parse_duration
from certmill.model.identifiers import (
    annotation_pairs,
    field_path,
    label_pairs,
    line,
    namespace_name,
    object_name,
    secret_key,
)
from certmill.model.issuer import SecretKeyRef
from certmill.model.spelling import did_you_mean


def _duration(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('must be a duration as a string, such as "2160h"')
    return parse_duration(value)


def none_if_empty(value: object) -> object:
    """Treat an empty text as not set."""
    return None if value == "" else value


def _none_if_unnamed(value: object) -> object:
    """Treat a reference with an empty name as not set: Go clients write unset references in this form."""
    return (
        None
        if isinstance(value, dict) and value.get("name") == "" and value.keys() <= {"name", "key"}
        else value
    )


Line = Annotated[str, AfterValidator(line)]
ObjectName = Annotated[str, AfterValidator(object_name)]
NamespaceName = Annotated[str, AfterValidator(namespace_name)]
SecretKey = Annotated[str, AfterValidator(secret_key)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Labels = Annotated[dict[str, str], AfterValidator(label_pairs)]
Annotations = Annotated[dict[str, str], AfterValidator(annotation_pairs)]

_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field here",
    "invalid_key": "is not a known field here",
    "string_type": "must be a string; quote it",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
}


class Schema(BaseModel):
    """Base of all schemas: exactly these fields, in camelCase, with exactly these types.

    The validator is built at the first use, so that a command that reads Certificates does not build those of
    all DNS providers."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        defer_build=True,
    )

    @classmethod
    def complete(cls) -> type[Schema]:
        """The schema with all its fields: a schema may get fields when its validator is built."""
        return cls


class Metadata(Schema):
    """metadata. Fields that only the API server or other programs use are accepted and ignored."""

    generate_name: object = None
    name: ObjectName
    namespace: NamespaceName | None = None
    labels: Labels | None = None
    annotations: Annotations | None = None
    uid: str | None = None
    resource_version: object = None
    generation: object = None
    creation_timestamp: object = None
    deletion_timestamp: object = None
    deletion_grace_period_seconds: object = None
    managed_fields: object = None
    owner_references: object = None
    finalizers: object = None
    self_link: object = None


class SecretKeySelector(Schema):
    """A key of a Secret."""

    name: ObjectName
    key: SecretKey


def secret_key_ref(selector: SecretKeySelector) -> SecretKeyRef:
    """A reference to a key of a Secret."""
    return SecretKeyRef(name=selector.name, key=selector.key)


OptionalSecretKeySelector = Annotated[SecretKeySelector | None, BeforeValidator(_none_if_unnamed)]

_Model = TypeVar("_Model", bound=Schema)

_building = threading.Lock()
"""Only one thread at a time builds a validator: pydantic's build was not thread-safe in the oldest supported
release."""


def validated(schema: type[_Model], body: object) -> _Model:
    """Read `body` by a schema. Raises InvalidManifest for the first wrong field. Unknown fields are reported
    first, because they may be spelling mistakes."""
    with _building:
        schema.model_rebuild()  # returns at once if it is built
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
    first = next((one for one in wrong if one["type"] == "extra_forbidden"), wrong[0])
    kind, context = first["type"], first.get("ctx", {})
    if kind == "value_error":
        message = str(context["error"])
    elif kind == "literal_error":
        message = f"must be {context['expected']}"
    else:
        message = _MESSAGES.get(kind, "is not valid") + (
            _meant(schema, first["loc"]) if kind == "extra_forbidden" else ""
        )
    raise InvalidManifest(message, path=field_path(part for part in first["loc"] if part != "[key]"))


def _meant(schema: type[Schema], location: Sequence[str | int]) -> str:
    """`; did you mean dnsNames?` if a known field has a similar name; else ""."""
    here: type[Schema] | None = schema
    for part in location[:-1]:
        if here is None or isinstance(part, int):
            continue
        field = next((field for field in here.complete().model_fields.values() if field.alias == part), None)
        here = next(_schemas_in(field.annotation), None) if field is not None else None
    known = [field.alias or name for name, field in here.complete().model_fields.items()] if here else []
    return did_you_mean(str(location[-1]), known)


def _schemas_in(annotation: object) -> Iterator[type[Schema]]:
    """The schemas in a field's type: of `Annotated[list[X] | None, …]` it is X."""
    if isinstance(annotation, type) and issubclass(annotation, Schema):
        yield annotation
    for part in get_args(annotation):
        yield from _schemas_in(part)


def refuse_if(wrong: bool, message: str, path: str) -> None:
    """Raise InvalidManifest if this is wrong."""
    if wrong:
        raise InvalidManifest(message, path=path)


def not_acted_on(path: str, *, instead: str) -> InvalidManifest:
    """The error for a valid field that certmill does not support."""
    return InvalidManifest(f"certmill does not act on this yet; {instead}", path=path)
