"""Check the fields of an Issuer or ClusterIssuer, and build the Issuer.

The rules are cert-manager's (internal/apis/certmanager/validation/issuer.go). `solver_rules` checks the
solvers."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from certmill.errors import InvalidManifest
from certmill.model.annotations import FALLBACK_ISSUERS
from certmill.model.identifiers import field_path, shown
from certmill.model.issuer import ExternalAccountBinding, Issuer, SecretKeyRef
from certmill.model.manifests.issuer.rate_limits import ANNOTATION as RATE_LIMITS_ANNOTATION
from certmill.model.manifests.issuer.rate_limits import rate_limits_of
from certmill.model.manifests.issuer.schema import (
    AcmeSchema,
    ExternalAccountBindingSchema,
    IssuerManifest,
    IssuerSpec,
)
from certmill.model.manifests.issuer.solver_rules import solver_of
from certmill.model.manifests.schema import Metadata, not_acted_on, refuse_if, secret_key_ref
from certmill.model.manifests.schema_secret import decode_base64

KEY_ALGORITHM_ANNOTATION = "certmill.io/account-key-algorithm"
"""The annotation for the algorithm of the account key; cert-manager has no field for it."""

KEY_ALGORITHMS = ("RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-256", "ECDSA-384", "ECDSA-521")

_OUR_PREFIX = "certmill.io/"
_OUR_ANNOTATIONS = (KEY_ALGORITHM_ANNOTATION, RATE_LIMITS_ANNOTATION, FALLBACK_ISSUERS)
_ACME_V1 = frozenset({"acme-v01.api.letsencrypt.org", "acme-staging.api.letsencrypt.org"})
_MAX_PREFERRED_CHAIN = 64
_EMAIL = re.compile(r"[^\s@,?]{1,64}@[^\s@,?]{1,255}")


def issuer_of(manifest: IssuerManifest, namespace: str) -> Issuer:
    """The Issuer. Raises InvalidManifest."""
    acme, metadata = _acme(manifest.spec), manifest.metadata
    _check(acme)
    return Issuer(
        kind=manifest.kind,
        namespace=namespace,
        name=metadata.name,
        server=_server(acme.server),
        private_key=SecretKeyRef(
            name=acme.private_key_secret_ref.name, key=acme.private_key_secret_ref.key or "tls.key"
        ),
        email=acme.email or "",
        preferred_chain=acme.preferred_chain or "",
        ca_bundle=_ca_bundle(acme.ca_bundle),
        skip_tls_verify=acme.skip_tls_verify is True,
        external_account_binding=_binding(acme.external_account_binding),
        disable_account_key_generation=acme.disable_account_key_generation is True,
        enable_duration=acme.enable_duration_feature is True,
        profile=acme.profile or "",
        solvers=tuple(
            solver_of(solver, f"spec.acme.solvers[{index}]")
            for index, solver in enumerate(acme.solvers or ())
        ),
        account_key_algorithm=_key_algorithm(metadata),
        uses_ari=acme.renewal_information_source != "None",
        rate_limits=rate_limits_of(metadata.annotations or {}),
        labels=metadata.labels or {},
        annotations=metadata.annotations or {},
        uid=metadata.uid or "",
    )


def _acme(spec: IssuerSpec) -> AcmeSchema:
    """spec.acme; other types of issuers are refused."""
    for name, value in {
        "ca": spec.ca,
        "vault": spec.vault,
        "selfSigned": spec.self_signed,
        "venafi": spec.venafi,
    }.items():
        if value is not None:
            raise not_acted_on(
                f"spec.{name}", instead="certmill knows ACME issuers only: keep cert-manager for this issuer"
            )
    if spec.acme is None:
        raise InvalidManifest("is required: certmill knows ACME issuers only", path="spec.acme")
    return spec.acme


def _check(acme: AcmeSchema) -> None:
    refuse_if(
        bool(acme.ca_bundle) and acme.skip_tls_verify is True,
        "cannot be set together with skipTLSVerify",
        "spec.acme.caBundle",
    )
    email = acme.email
    refuse_if(
        bool(email) and not _EMAIL.fullmatch(email or ""),
        f"{shown(email or '')} is not an e-mail address",
        "spec.acme.email",
    )
    too_long = len(acme.preferred_chain or "") > _MAX_PREFERRED_CHAIN
    refuse_if(too_long, f"is longer than {_MAX_PREFERRED_CHAIN} characters", "spec.acme.preferredChain")


def _server(url: str) -> str:
    """Check the directory's URL: https, or http on this machine (loopback)."""
    path = "spec.acme.server"
    parts = _split(url)
    if (
        parts is None
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or not url.isascii()
        or " " in url
    ):
        raise InvalidManifest(
            f"{shown(url)} is not the URL of an ACME directory, such as https://ca.example.com/directory",
            path=path,
        )
    refuse_if(
        parts.username is not None or parts.password is not None,
        "must not hold a user name or password",
        path,
    )
    refuse_if(
        parts.hostname in _ACME_V1,
        "is Let's Encrypt's ACME v1, which no longer exists: use https://acme-v02.api.letsencrypt.org/directory",
        path,
    )
    refuse_if(
        parts.scheme == "http" and not _is_loopback(parts.hostname),
        "must be https://; http:// is for a CA on this machine only",
        path,
    )
    return url


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ca_bundle(text: str | None) -> bytes | None:
    """Decode base64 to PEM, and check that the TLS client can read it."""
    if not text:
        return None
    path = "spec.acme.caBundle"
    try:
        bundle = decode_base64(text)
    except ValueError:
        raise InvalidManifest("must be base64 of PEM certificates", path=path) from None
    import ssl  # most issuers have no bundle

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bundle.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise InvalidManifest("holds no PEM certificates that can be read", path=path) from None
    return bundle


def _binding(binding: ExternalAccountBindingSchema | None) -> ExternalAccountBinding | None:
    if binding is None:
        return None
    refuse_if(not binding.key_id, "is required", "spec.acme.externalAccountBinding.keyID")
    return ExternalAccountBinding(
        key_id=binding.key_id, key_secret_ref=secret_key_ref(binding.key_secret_ref)
    )


def _key_algorithm(metadata: Metadata) -> str:
    annotations = metadata.annotations or {}
    for key in annotations:
        path = field_path(("metadata", "annotations", key))
        refuse_if(
            key.startswith(_OUR_PREFIX) and key not in _OUR_ANNOTATIONS,
            "is not an annotation that certmill knows",
            path,
        )
    algorithm = annotations.get(KEY_ALGORITHM_ANNOTATION, KEY_ALGORITHMS[0])
    path = field_path(("metadata", "annotations", KEY_ALGORITHM_ANNOTATION))
    refuse_if(
        algorithm not in KEY_ALGORITHMS,
        f"must be {', '.join(KEY_ALGORITHMS[:-1])} or {KEY_ALGORITHMS[-1]}",
        path,
    )
    return algorithm
