"""Read the desired Certificates of an annotated Ingress: one for each entry of spec.tls, as in cert-manager's
ingress-shim. Pure.

Two differences from cert-manager: a wrong annotation is recorded as an event, not only logged; and
annotations that are added later (edit in place, another class for challenges) are copied to the
Certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certmill.controller import ingress_annotations
from certmill.controller.ingress_annotations import Asked
from certmill.controller.shim import (
    Desired,
    DesiredCertificate,
    Event,
    Owner,
    Rules,
    bad_config,
    desired,
    owner_of,
)
from certmill.kube.objects import JsonObject, Meta, mapping, meta_of, sequence, text
from certmill.kube.resources import INGRESSES
from certmill.model.annotations import (
    ISSUE_TEMPORARY_CERTIFICATE,
    ISSUER_GROUP,
    ISSUER_KIND,
    OVERRIDE_INGRESS_CLASS,
    OVERRIDE_INGRESS_CLASS_NAME,
    OVERRIDE_INGRESS_NAME,
    OVERRIDES,
)
from certmill.model.identifiers import is_ip_address
from certmill.model.manifests.certificate.rules import DEFAULT_USAGES

RULES: Final = Rules(
    triggers=(
        "labels",
        "common_name",
        "dns_names",
        "secret_name",
        "issuer_name",
        "issuer_kind",
        "revision_history_limit",
        "key_algorithm",
        "key_encoding",
        "key_rotation_policy",
        "key_size",
        "duration",
        "renew_before",
    ),
    annotations=frozenset(OVERRIDES),
)

ISSUER: Final = "cert-manager.io/issuer"
CLUSTER_ISSUER: Final = "cert-manager.io/cluster-issuer"
TLS_ACME: Final = "kubernetes.io/tls-acme"
EDIT_IN_PLACE: Final = "acme.cert-manager.io/http01-edit-in-place"
CHALLENGE_CLASS: Final = "acme.cert-manager.io/http01-ingress-class"
CHALLENGE_CLASS_NAME: Final = "acme.cert-manager.io/http01-ingress-ingressclassname"

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # Go's strconv.ParseBool
_APPLYSET_LABEL: Final = "applyset.kubernetes.io/part-of"

_MAX_ENTRIES: Final = 1000
_MAX_REPEATED_BYTES: Final = 4 * 1024 * 1024
"""Limit for labels and annotations, because each Certificate of an Ingress repeats them: an Ingress of 1.5 MB
could become gigabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultIssuer:
    """The issuer of an Ingress with kubernetes.io/tls-acme and without an issuer annotation. An empty name
    means that no default is configured."""

    name: str = ""
    kind: str = "Issuer"
    group: str = "cert-manager.io"


NO_DEFAULT: Final = DefaultIssuer()


def desired_by(body: Mapping[str, object], default: DefaultIssuer = NO_DEFAULT) -> Desired:
    """The desired Certificates of an Ingress. Empty without an issuer annotation, and while the Ingress is
    being deleted."""
    meta = meta_of(body)
    owner = owner_of(INGRESSES, meta)
    if not _asks(meta.annotations) or _is_going(body):
        return Desired(owner=owner, rules=RULES)
    entries = [mapping(entry) for entry in sequence(mapping(body.get("spec")).get("tls"))]
    too_much = _too_much(meta, entries)
    if too_much:
        return Desired(owner=owner, rules=RULES, events=too_much)
    asked = ingress_annotations.read(meta.annotations)
    mistakes = _issuer_mistakes(meta.annotations, default) or _duplicates(entries) or _wrong_values(asked)
    if mistakes:
        return Desired(owner=owner, rules=RULES, events=mistakes)
    base = {"issuerRef": _issuer_ref(meta.annotations, default), "usages": list(DEFAULT_USAGES)} | asked.spec
    missing = [_missing(entry, f"spec.tls[{index}]") for index, entry in enumerate(entries)]
    return Desired(
        owner=owner,
        rules=RULES,
        desired=tuple(
            _certificate(owner, meta, entry, base, asked)
            for entry, parts in zip(entries, missing, strict=True)
            if not parts
        ),
        secret_names=frozenset(text(entry.get("secretName")) for entry in entries),
        events=tuple(_skipped(parts) for parts in missing if parts),
    )


def _asks(annotations: Mapping[str, str]) -> bool:
    return ISSUER in annotations or CLUSTER_ISSUER in annotations or annotations.get(TLS_ACME) in _TRUE


def _is_going(body: Mapping[str, object]) -> bool:
    """Whether it is being deleted. With foreground deletion its Certificates are deleted first and must not
    be created again."""
    metadata = mapping(body.get("metadata"))
    return metadata.get("deletionTimestamp") is not None or "foregroundDeletion" in sequence(
        metadata.get("finalizers")
    )


def _issuer_ref(annotations: Mapping[str, str], default: DefaultIssuer) -> JsonObject:
    name, kind = default.name, default.kind
    if ISSUER in annotations:
        name, kind = annotations[ISSUER], "Issuer"
    if CLUSTER_ISSUER in annotations:
        name, kind = annotations[CLUSTER_ISSUER], "ClusterIssuer"
    kind = annotations.get(ISSUER_KIND, kind)
    group = annotations.get(ISSUER_GROUP, default.group)
    return {key: value for key, value in (("name", name), ("kind", kind), ("group", group)) if value}


def _issuer_mistakes(annotations: Mapping[str, str], default: DefaultIssuer) -> tuple[Event, ...]:
    named = "name" in _issuer_ref(annotations, default)
    found = [] if named else ["failed to determine issuer name to be used for ingress resource"]
    pairs = ((ISSUER, CLUSTER_ISSUER), (CLUSTER_ISSUER, ISSUER_GROUP), (CLUSTER_ISSUER, ISSUER_KIND))
    found += [
        f'both "{one}" and "{other}" may not be set'
        for one, other in pairs
        if {one, other} <= annotations.keys()
    ]
    message = f"Could not determine issuer for ingress due to bad annotations: {', '.join(found)}"
    return (bad_config(message),) if found else ()


def _too_much(meta: Meta, entries: list[Mapping[str, object]]) -> tuple[Event, ...]:
    """Limits, so that one Ingress cannot fill the memory, or the API server with Certificates."""
    number = len(entries)
    if number > _MAX_ENTRIES:
        return (bad_config(f"spec.tls has {number} entries, {_MAX_ENTRIES} at most: make several Ingresses"),)
    repeated = sum(
        len(name) + len(value) for pairs in (meta.labels, _copied(meta)) for name, value in pairs.items()
    )
    if number * repeated <= _MAX_REPEATED_BYTES:
        return ()
    size = f"{repeated} bytes each, {_MAX_REPEATED_BYTES} at most in all"
    return (
        bad_config(
            f"the {number} Certificates of spec.tls would repeat {size}: make the labels and annotations "
            "smaller, or make several Ingresses"
        ),
    )


def _copied(meta: Meta) -> Mapping[str, str]:
    """The annotations that are copied into its Certificates."""
    prefixes = (ingress_annotations.PREFIX, "acme.cert-manager.io/")
    return {name: value for name, value in meta.annotations.items() if name.startswith(prefixes)}


def _duplicates(entries: list[Mapping[str, object]]) -> tuple[Event, ...]:
    """Entries with the same secretName are an error, because the Certificate has the Secret's name."""
    places: dict[str, list[str]] = {}
    for index, entry in enumerate(entries):
        places.setdefault(text(entry.get("secretName")), []).append(f"spec.tls[{index}].secretName")
    found = [
        f'{paths[0]}: Invalid value: "{name}": this secret name must only appear in a single TLS entry but '
        f"is also used in {paths[1]}"
        for name, paths in places.items()
        if name and len(paths) > 1
    ]
    return (bad_config(_listed(found)),) if found else ()


def _wrong_values(asked: Asked) -> tuple[Event, ...]:
    return tuple(
        bad_config(f'invalid ingress annotation "{error.path}": {error.reason}') for error in asked.wrong
    )


def _missing(entry: Mapping[str, object], path: str) -> list[str]:
    return [f"{path}.{name}: Required value" for name in ("hosts", "secretName") if not entry.get(name)]


def _skipped(parts: list[str]) -> Event:
    return bad_config(f"Skipped a TLS block: {_listed(parts)}")


def _listed(parts: list[str]) -> str:
    """Several errors as Kubernetes writes them."""
    return parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"


def _certificate(
    owner: Owner, meta: Meta, entry: Mapping[str, object], base: Mapping[str, object], asked: Asked
) -> DesiredCertificate:
    hosts = [text(host) for host in sequence(entry.get("hosts"))]
    dns_names = dict.fromkeys([host for host in hosts if not is_ip_address(host)] + list(asked.dns_names))
    ip_addresses = dict.fromkeys([host for host in hosts if is_ip_address(host)] + list(asked.ip_addresses))
    names = {"dnsNames": list(dns_names), "ipAddresses": list(ip_addresses)}
    secret_name = text(entry.get("secretName"))
    spec = (
        {"secretName": secret_name} | {name: values for name, values in names.items() if values} | dict(base)
    )
    labels = {
        name: value for name, value in meta.labels.items() if name != _APPLYSET_LABEL
    }  # an applyset would prune the Certificate
    return desired(owner, secret_name, spec, labels=labels, annotations=_annotations(meta))


def _annotations(meta: Meta) -> dict[str, str]:
    """The Certificate's annotations for its challenges. Edit in place needs a temporary certificate, because
    the Ingress has TLS."""
    there = meta.annotations
    edits = there.get(EDIT_IN_PLACE) == "true"
    found = {
        OVERRIDE_INGRESS_NAME: meta.name if edits else "",
        OVERRIDE_INGRESS_CLASS: there.get(CHALLENGE_CLASS, ""),
        OVERRIDE_INGRESS_CLASS_NAME: there.get(CHALLENGE_CLASS_NAME, ""),
        ISSUE_TEMPORARY_CERTIFICATE: "true"
        if edits or there.get(ISSUE_TEMPORARY_CERTIFICATE) == "true"
        else "",
    }
    return {name: value for name, value in found.items() if value}
