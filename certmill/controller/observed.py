"""Read an existing Certificate, and the fields that the shims compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from certmill.kube.objects import JsonObject, Meta, mapping, meta_of, sequence, strings, text
from certmill.model.durations import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What may be compared of two Certificates. Durations by their length; the size of an Ed25519 key is 0,
    as it has none to choose."""

    labels: Mapping[str, str]
    common_name: str
    dns_names: tuple[str, ...]
    secret_name: str
    issuer_name: str
    issuer_kind: str
    revision_history_limit: int | None
    key_algorithm: str
    key_encoding: str
    key_rotation_policy: str
    key_size: int
    duration: timedelta | None
    renew_before: timedelta | None


def traits_of(body: Mapping[str, object]) -> Traits:
    """The traits of a Certificate's manifest."""
    spec = mapping(body.get("spec"))
    issuer, key = mapping(spec.get("issuerRef")), mapping(spec.get("privateKey"))
    algorithm = text(key.get("algorithm"))
    return Traits(
        labels=strings(mapping(body.get("metadata")).get("labels")),
        common_name=text(spec.get("commonName")),
        dns_names=tuple(text(name) for name in sequence(spec.get("dnsNames"))),
        secret_name=text(spec.get("secretName")),
        issuer_name=text(issuer.get("name")),
        issuer_kind=text(issuer.get("kind")),
        revision_history_limit=_number(spec.get("revisionHistoryLimit")),
        key_algorithm=algorithm,
        key_encoding=text(key.get("encoding")),
        key_rotation_policy=text(key.get("rotationPolicy")),
        key_size=0 if algorithm == "Ed25519" else _number(key.get("size")) or 0,
        duration=_length(spec.get("duration")),
        renew_before=_length(spec.get("renewBefore")),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _length(value: object) -> timedelta | None:
    try:
        return parse_duration(text(value))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A Certificate from the API. An update is based on `body`, so that resourceVersion and fields of others
    are kept."""

    meta: Meta
    traits: Traits
    body: JsonObject = field(repr=False)


def observed_of(body: JsonObject) -> Observed:
    """Read a Certificate of the API."""
    return Observed(meta=meta_of(body), traits=traits_of(body), body=body)
