"""Read the desired Certificate of an NGINX VirtualServer: spec.tls.cert-manager. Pure.

With -enable-cert-manager NGINX creates this Certificate itself (its internal/certmanager). certmill writes
and compares the same fields and values, so the second program finds nothing to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from certmill.controller.shim import Desired, DesiredCertificate, Owner, Rules, bad_config, desired, owner_of
from certmill.errors import InvalidManifest
from certmill.kube.objects import JsonObject, mapping, meta_of, text
from certmill.kube.resources import VIRTUAL_SERVERS
from certmill.model.annotations import ISSUE_TEMPORARY_CERTIFICATE
from certmill.model.durations import go_duration, parse_duration
from certmill.model.identifiers import shown
from certmill.model.manifests.certificate.rules import DEFAULT_USAGES
from certmill.model.manifests.certificate.schema import usage

RULES: Final = Rules(
    triggers=("labels", "common_name", "dns_names", "secret_name", "issuer_name", "issuer_kind")
)
"""The order of the names matters. Annotations are set when the Certificate is made, and never again."""

_FIELD: Final = "tls.cert-manager"


def desired_by(body: Mapping[str, object]) -> Desired:
    """The desired Certificate of a VirtualServer. Empty without spec.tls.cert-manager; a mistake gives an
    event."""
    meta = meta_of(body)
    owner = owner_of(VIRTUAL_SERVERS, meta)
    spec = mapping(body.get("spec"))
    tls = mapping(spec.get("tls"))
    asked = tls.get("cert-manager")
    if not isinstance(asked, dict) or meta.deleting:
        return Desired(owner=owner, rules=RULES)
    conflicts = _conflicts(asked)
    if conflicts:
        message = f"Could not determine issuer for virtual server due to bad config: {', '.join(conflicts)}"
        return Desired(owner=owner, rules=RULES, events=(bad_config(message),))
    try:
        one = _certificate(
            owner, text(spec.get("host")), text(tls.get("secret")), mapping(asked), meta.labels
        )
    except InvalidManifest as error:
        message = f"Incorrect cert-manager configuration for VirtualServer resource: {error}"
        return Desired(owner=owner, rules=RULES, events=(bad_config(message),))
    return Desired(owner=owner, rules=RULES, desired=(one,), secret_names=frozenset({one.name}))


def _conflicts(asked: Mapping[str, object]) -> list[str]:
    given = {
        name for name in ("issuer", "cluster-issuer", "issuer-kind", "issuer-group") if text(asked.get(name))
    }
    found = (
        []
        if given & {"issuer", "cluster-issuer"}
        else ["failed to determine Issuer name to be used for VirtualServer resource"]
    )
    pairs = (
        ("issuer", "cluster-issuer"),
        ("cluster-issuer", "issuer-group"),
        ("cluster-issuer", "issuer-kind"),
    )
    return found + [
        f'both "{_FIELD}.{one}" and "{_FIELD}.{other}" may not be set'
        for one, other in pairs
        if {one, other} <= given
    ]


def _certificate(
    owner: Owner, host: str, secret: str, asked: Mapping[str, object], labels: Mapping[str, str]
) -> DesiredCertificate:
    for name, value in (("host", host), ("tls.secret", secret)):
        if not value:
            raise InvalidManifest("is required", path=name)
    spec: JsonObject = {
        "commonName": text(asked.get("common-name")),
        "dnsNames": [host],
        "secretName": secret,
        "issuerRef": _issuer_ref(asked),
        "duration": _duration(asked, "duration"),
        "renewBefore": _duration(asked, "renew-before"),
        "usages": _usages(asked),
    }
    annotations = {ISSUE_TEMPORARY_CERTIFICATE: "true"} if asked.get("issue-temp-cert") is True else {}
    return desired(
        owner,
        secret,
        {name: value for name, value in spec.items() if value},
        labels=labels,
        annotations=annotations,
    )


def _issuer_ref(asked: Mapping[str, object]) -> JsonObject:
    """The group is left out unless it is given: the Secret's annotation repeats it as it is."""
    cluster = text(asked.get("cluster-issuer"))
    kind = text(asked.get("issuer-kind")) or ("ClusterIssuer" if cluster else "Issuer")
    group = text(asked.get("issuer-group"))
    reference: JsonObject = {"name": cluster or text(asked.get("issuer")), "kind": kind}
    return {**reference, "group": group} if group else reference


def _duration(asked: Mapping[str, object], name: str) -> str:
    """In the form in which NGINX writes it."""
    value = text(asked.get(name))
    if not value:
        return ""
    try:
        return go_duration(parse_duration(value))
    except ValueError as error:
        raise InvalidManifest(f"{shown(value)} {error}", path=f"{_FIELD}.{name}") from None


def _usages(asked: Mapping[str, object]) -> list[str]:
    value = text(asked.get("usages"))
    try:
        return [usage(one.strip(" ")) for one in value.split(",")] if value else list(DEFAULT_USAGES)
    except ValueError as error:
        raise InvalidManifest(str(error), path=f"{_FIELD}.usages") from None
