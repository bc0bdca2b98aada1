"""The kinds of objects that the command knows, with all the names that kubectl and cert-manager use for
them."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """A kind, spelled as in manifests."""

    CERTIFICATE = "Certificate"
    ISSUER = "Issuer"
    CLUSTER_ISSUER = "ClusterIssuer"
    SECRET = "Secret"  # noqa: S105 - a kind, no secret
    REQUEST = "Request"
    """Not a Kubernetes kind: a request of another service that was refused."""


_NAMES: dict[Kind, tuple[str, ...]] = {
    Kind.CERTIFICATE: (
        "certificate",
        "certificates",
        "cert",
        "certs",
        "certificate.cert-manager.io",
        "certificates.cert-manager.io",
    ),
    Kind.ISSUER: ("issuer", "issuers", "iss", "issuer.cert-manager.io", "issuers.cert-manager.io"),
    Kind.CLUSTER_ISSUER: (
        "clusterissuer",
        "clusterissuers",
        "ciss",
        "clusterissuer.cert-manager.io",
        "clusterissuers.cert-manager.io",
    ),
    Kind.SECRET: ("secret", "secrets"),
    Kind.REQUEST: ("request", "requests"),
}

OBJECTS = (Kind.CERTIFICATE, Kind.ISSUER, Kind.CLUSTER_ISSUER, Kind.SECRET)
"""The kinds that a home stores."""


def kind_of(word: str, among: tuple[Kind, ...] = tuple(Kind)) -> Kind:
    """The kind that `word` names. Raises ValueError, which lists the valid words."""
    for kind in among:
        if word.lower() in _NAMES[kind]:
            return kind
    raise ValueError(f"{word!r} is not one of {', '.join(_NAMES[kind][1] for kind in among)}")


def words(among: tuple[Kind, ...] = tuple(Kind)) -> list[str]:
    """The plural of each kind, for shell completion."""
    return [_NAMES[kind][1] for kind in among]


def plural(kind: str) -> str:
    """The plural under which `certmill get` lists this kind: `clusterissuers` for ClusterIssuer."""
    return _NAMES[Kind(kind)][1]


def resource(kind: str, name: str) -> str:
    """The object as kubectl prints it: `certificate.cert-manager.io/web`, `secret/web`."""
    return f"{kind.lower()}/{name}" if kind == Kind.SECRET else f"{kind.lower()}.cert-manager.io/{name}"


def missing(kind: str, namespace: str, name: str) -> str:
    """The message that an object does not exist."""
    where = f" in namespace {_quoted(namespace)}" if namespace else ""
    return f"{kind.lower()} {_quoted(name)} not found{where}"


def _quoted(text: str) -> str:
    return f'"{text}"'
