"""Read cert-manager's annotations of an Ingress that set fields of its Certificates. Each annotation is
checked alone, then in combination.

Each wrong value is an InvalidManifest with the annotation as its path, so one event can list all mistakes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeAlias

from certmill.errors import InvalidManifest
from certmill.kube.objects import JsonObject, mapping, sequence, text
from certmill.model.durations import go_duration, parse_duration
from certmill.model.identifiers import annotation_pairs, dns_name, ip_address, label_pairs, line, shown
from certmill.model.manifests.certificate.names import MAX_COMMON_NAME, MAX_NAMES
from certmill.model.manifests.certificate.refusals import DEFAULT_DURATION, MIN_DURATION, MIN_RENEW_BEFORE
from certmill.model.manifests.certificate.rules import CURVES, RSA_SIZES
from certmill.model.manifests.certificate.schema import email_address, usage

PREFIX: Final = "cert-manager.io/"

_MAX_INT32: Final = 2**31 - 1
_WHOLE_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The parsed annotations: fields of a Certificate's spec, names in addition to the hosts, and the
    errors."""

    spec: JsonObject = field(default_factory=dict)
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    wrong: tuple[InvalidManifest, ...] = ()


def read(annotations: Mapping[str, str]) -> Asked:
    """Parse the annotations. Never raises: errors are in the result."""
    found: JsonObject = {}
    wrong: list[InvalidManifest] = []
    for name, reader in _READERS.items():
        value = annotations.get(PREFIX + name)
        if value is None:
            continue
        try:
            found[name] = reader(value)
        except ValueError as error:
            wrong.append(InvalidManifest(str(error), path=PREFIX + name))
    if not wrong:
        wrong += _misfits(found)
    return Asked(
        spec=_spec(found),
        dns_names=_names(found, "alt-names"),
        ip_addresses=_names(found, "ip-sans"),
        wrong=tuple(wrong),
    )


def _names(found: Mapping[str, object], name: str) -> tuple[str, ...]:
    return tuple(text(one) for one in sequence(found.get(name)))


def _spec(found: Mapping[str, object]) -> JsonObject:
    """The fields that are not empty, in the structure of a Certificate's spec."""
    spec: dict[str, object] = {}
    for name, (outer, inner) in _PLACES.items():
        value = found.get(name)
        if not value:
            continue
        spec[outer] = {**mapping(spec.get(outer)), inner: value} if inner else value
    return spec


def _misfits(found: Mapping[str, object]) -> list[InvalidManifest]:
    """Errors in combinations of values that are valid alone."""
    wrong = [_size_misfit(found), _renewal_misfit(found)]
    return [one for one in wrong if one is not None]


def _size_misfit(found: Mapping[str, object]) -> InvalidManifest | None:
    size, algorithm = found.get("private-key-size"), found.get("private-key-algorithm", "RSA")
    suits = {"RSA": size in RSA_SIZES, "ECDSA": size in CURVES}.get(text(algorithm), True)
    if size is None or suits:
        return None
    known = "256, 384 or 521" if algorithm == "ECDSA" else "from 2048 to 8192"
    return InvalidManifest(f"must be {known} for an {algorithm} key", path=f"{PREFIX}private-key-size")


def _renewal_misfit(found: Mapping[str, object]) -> InvalidManifest | None:
    if "renew-before" not in found:
        return None
    path = f"{PREFIX}renew-before"
    if "renew-before-percentage" in found:
        return InvalidManifest(f"may not be set together with {PREFIX}renew-before-percentage", path=path)
    duration = parse_duration(text(found["duration"])) if "duration" in found else DEFAULT_DURATION
    if parse_duration(text(found["renew-before"])) < duration:
        return None
    return InvalidManifest(f"must be shorter than {PREFIX}duration (2160h if not set)", path=path)


def _common_name(value: str) -> str:
    if len(value.encode()) > MAX_COMMON_NAME:
        raise ValueError(f"may not be more than {MAX_COMMON_NAME} bytes")
    return line(value)


def _listed(check: Callable[[str], object]) -> Callable[[str], list[str]]:
    """Split comma-separated values and check each one; empty for an empty annotation."""

    def reader(value: str) -> list[str]:
        parts = [part.strip() for part in value.split(",")] if value else []
        if len(parts) > MAX_NAMES:  # each entry of spec.tls repeats them
            raise ValueError(f"has {len(parts)} values, {MAX_NAMES} at most")
        for part in parts:
            check(part)
        return list(dict.fromkeys(parts))

    return reader


def _csv(value: str) -> list[str]:
    """Parse one line of comma-separated values; a quoted value may contain commas (RFC 4180)."""
    try:
        rows = [row for row in csv.reader(io.StringIO(value, newline=""), strict=True) if row]
    except csv.Error as error:
        raise ValueError(f"is not a line of comma-separated values: {error}") from None
    if len(rows) != 1:
        raise ValueError("must be one line of comma-separated values" if rows else "has no values")
    return [line(one) for one in rows[0]]


def _duration(least: timedelta) -> Callable[[str], str]:
    def reader(value: str) -> str:
        length = parse_duration(value)
        if length < least:
            raise ValueError(f"must be at least {go_duration(least)}")
        return go_duration(length)

    return reader


def _number(least: int, most: int) -> Callable[[str], int]:
    def reader(value: str) -> int:
        if not _WHOLE_NUMBER.fullmatch(value) or not least <= int(value) <= most:
            raise ValueError(f"{shown(value)} is not a whole number from {least} to {most}")
        return int(value)

    return reader


def _one_of(*known: str) -> Callable[[str], str]:
    def reader(value: str) -> str:
        if value not in known:
            raise ValueError(f"{shown(value)} must be {', '.join(known[:-1])} or {known[-1]}")
        return value

    return reader


def _usages(value: str) -> list[str]:
    return [usage(one.strip(" ")) for one in value.split(",")]


def _secret_template(value: str) -> JsonObject:
    """Parse strict JSON: an object with only labels and annotations, each an object of strings."""
    try:
        template = json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("is not valid JSON") from None
    if not isinstance(template, dict) or not {"labels", "annotations"}.issuperset(template):
        raise ValueError("must be a JSON object with labels and annotations, and nothing else")
    for name, pairs in template.items():
        strings = isinstance(pairs, dict) and all(isinstance(one, str) for one in pairs.values())
        if pairs is not None and not strings:
            raise ValueError(f"{name} must be a JSON object of strings")
    ours = next((key for key in template.get("annotations") or () if key.startswith(PREFIX)), None)
    if ours is not None:
        raise ValueError(f"{shown(ours)} is not allowed: annotations under {PREFIX} are ours to set")
    checked = {
        "labels": label_pairs(template.get("labels") or {}),
        "annotations": annotation_pairs(template.get("annotations") or {}),
    }
    return {name: pairs for name, pairs in checked.items() if pairs}


_Reader: TypeAlias = Callable[[str], object]

_READERS: Final[Mapping[str, _Reader]] = {
    "common-name": _common_name,
    "alt-names": _listed(dns_name),
    "ip-sans": _listed(ip_address),
    "email-sans": _listed(email_address),
    "subject-organizations": _csv,
    "subject-organizationalunits": _csv,
    "subject-countries": _csv,
    "subject-provinces": _csv,
    "subject-localities": _csv,
    "subject-postalcodes": _csv,
    "subject-streetaddresses": _csv,
    "subject-serialnumber": line,
    "duration": _duration(MIN_DURATION),
    "renew-before": _duration(MIN_RENEW_BEFORE),
    "renew-before-percentage": _number(1, 99),
    "usages": _usages,
    "revision-history-limit": _number(1, _MAX_INT32),
    "private-key-algorithm": _one_of("RSA", "ECDSA", "Ed25519"),
    "private-key-encoding": _one_of("PKCS1", "PKCS8"),
    "private-key-size": _number(0, _MAX_INT32),
    "private-key-rotation-policy": _one_of("Never", "Always"),
    "secret-template": _secret_template,
}

_PLACES: Final = {
    "common-name": ("commonName", ""),
    "email-sans": ("emailAddresses", ""),
    "subject-organizations": ("subject", "organizations"),
    "subject-organizationalunits": ("subject", "organizationalUnits"),
    "subject-countries": ("subject", "countries"),
    "subject-provinces": ("subject", "provinces"),
    "subject-localities": ("subject", "localities"),
    "subject-postalcodes": ("subject", "postalCodes"),
    "subject-streetaddresses": ("subject", "streetAddresses"),
    "subject-serialnumber": ("subject", "serialNumber"),
    "duration": ("duration", ""),
    "renew-before": ("renewBefore", ""),
    "renew-before-percentage": ("renewBeforePercentage", ""),
    "usages": ("usages", ""),
    "revision-history-limit": ("revisionHistoryLimit", ""),
    "private-key-algorithm": ("privateKey", "algorithm"),
    "private-key-encoding": ("privateKey", "encoding"),
    "private-key-size": ("privateKey", "size"),
    "private-key-rotation-policy": ("privateKey", "rotationPolicy"),
    "secret-template": ("secretTemplate", ""),
}
