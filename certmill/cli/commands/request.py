"""`certmill request`: sends a message to the queue of requests, as other services do. With --wait it follows
the request and shows the result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import idna

from certmill.cli.columns import fields
from certmill.cli.exit_codes import ExitCode, print_message
from certmill.cli.session import Session
from certmill.client import Handle
from certmill.errors import CertmillError, InvalidManifest, SecretUnusable
from certmill.model.certificate import Certificate, IssuerRef
from certmill.model.durations import parse_duration
from certmill.model.identifiers import is_ip_address
from certmill.model.names import split_id
from certmill.model.object_ref import ISSUER_KINDS
from certmill.model.secret import TLS_CERTIFICATE
from certmill.views.lifetimes import ignored_duration
from certmill.views.times import away, moment

_KEY = re.compile(r"(rsa|ecdsa|ed25519)(?:(?<!ed25519)-([0-9]{3,4}))?", re.IGNORECASE)
_NOT_IN_A_LABEL = re.compile(r"[^a-z0-9-]")
_MAX_LABEL = 63
_MAX_NAME = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Whether to wait for the end, and the time-out in seconds."""

    wait: bool
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The arguments of `certmill request`; "" means that the option was not given."""

    names: tuple[str, ...]
    issuer: str
    namespace: str
    issuer_kind: str = ""
    name: str = ""
    secret_name: str = ""
    key: str = ""
    duration: str = ""


def request(session: Session, wanted: Wanted, waiting: Waiting) -> ExitCode:
    """Request a certificate for these names. Raises InvalidManifest, which names the field, and
    StateUnavailable."""
    addresses = tuple(name for name in wanted.names if is_ip_address(name))
    handle = session.client.request(
        name=wanted.name or object_name(wanted.names[0]),
        namespace=wanted.namespace,
        dns_names=tuple(name for name in wanted.names if name not in addresses),
        ip_addresses=addresses,
        issuer=wanted.issuer,
        issuer_kind=wanted.issuer_kind or None,
        secret_name=wanted.secret_name or None,
        private_key=private_key(wanted.key),
        **({"duration": wanted.duration} if wanted.duration else {}),
    )
    if wanted.duration:
        _warn_of_duration(session, wanted)
    return follow_or_print(session, [handle], waiting, "requested")


def _warn_of_duration(session: Session, wanted: Wanted) -> None:
    """Print a warning if the issuer is in this home and certmill will not request this lifetime from its
    CA."""
    for kind in (wanted.issuer_kind,) if wanted.issuer_kind else ISSUER_KINDS:
        with suppress(CertmillError):
            asked = Certificate(
                namespace=wanted.namespace,
                name="asked",
                secret_name="",
                issuer_ref=IssuerRef(name=wanted.issuer, kind=kind),
                duration=parse_duration(wanted.duration),
            )
            if issuer := session.home.issuer(asked.issuer):
                if ignored := ignored_duration(asked, issuer):
                    print_message(ignored, prefix="warning")
                return


def follow_or_print(session: Session, handles: Sequence[Handle], waiting: Waiting, what: str) -> ExitCode:
    """Print what was sent, or follow the requests to their end."""
    if not waiting.wait:
        for handle in handles:
            namespace, name = split_id(handle.certificate)
            print(
                f"certificate.cert-manager.io/{name} {what}; follow it with: certmill describe certificate "
                f"{name} -n {namespace}"
            )
        return ExitCode.OK
    from certmill.cli.commands.follow import follow

    code = follow(session, handles, timeout=waiting.timeout)
    if code is ExitCode.OK:
        for handle in handles:
            print("\n".join(issued(session, handle)))
    return code


def issued(session: Session, handle: Handle) -> list[str]:
    """The lines about the issued certificate: names, issuer, validity, and where it is stored."""
    namespace, name = split_id(handle.certificate)
    certificate = session.home.certificate(handle.certificate)
    secret = session.home.secret(namespace, certificate.secret_name) if certificate else None
    if certificate is None or secret is None:
        home = "cluster" if session.is_in_cluster else f"home {session.settings.home}"
        return [f"{handle.certificate} is issued, but not in the {home}; check that workers use the same one"]
    from certmill.crypto import chain

    try:
        leaf = chain.leaf(secret.data.get(TLS_CERTIFICATE, b""))
    except SecretUnusable as error:
        return [f"{handle.certificate} is issued, but its Secret cannot be read now: {error}"]
    ref, begins, ends = certificate.issuer_ref, moment(leaf.not_before), moment(leaf.not_after)
    directory = session.secret_directory(namespace, certificate.secret_name)
    signer = leaf.issuer_common_name or "an unnamed CA"
    rows = [
        ("Certificate", f"{namespace}/{name}"),
        ("Names", ", ".join((*leaf.dns_names, *leaf.ip_addresses))),
        ("Issuer", f"{ref.kind or 'Issuer'} {ref.name}, signed by {signer}"),
        ("Valid", f"{begins} to {ends} (ends {away(leaf.not_after, session.now())})"),
        ("Stored in", str(directory or f"Secret {secret.namespace}/{secret.name}")),
    ]
    return ["", *fields(rows)]


def object_name(first: str) -> str:
    """A Certificate name that is derived from this DNS name or address: `wildcard.example.com` for
    `*.example.com`."""
    text = f"wildcard.{first[2:]}" if first.startswith("*.") else first
    with suppress(idna.IDNAError):
        text = idna.encode(text, uts46=True).decode() if not text.isascii() else text
    labels = (_NOT_IN_A_LABEL.sub("-", label)[:_MAX_LABEL].strip("-") for label in text.lower().split("."))
    return ".".join(label for label in labels if label)[:_MAX_NAME].rstrip(".-") or "certificate"


def private_key(text: str) -> dict[str, object] | None:
    """The value of spec.privateKey for `rsa-2048`, `ecdsa-256` and others; None for "". Raises
    InvalidManifest."""
    if not text:
        return None
    match = _KEY.fullmatch(text)
    if match is None:
        raise InvalidManifest(
            f"{text!r} is not rsa-2048 … rsa-8192, ecdsa-256, ecdsa-384, ecdsa-521 or ed25519", path="--key"
        )
    name = match.group(1).upper()
    return {"algorithm": "Ed25519" if name == "ED25519" else name} | (
        {"size": int(match.group(2))} if match.group(2) else {}
    )
