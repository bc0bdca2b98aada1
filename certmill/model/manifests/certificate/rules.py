"""Build a Certificate from its spec, after the checks of each field and of their combination.

The rules are cert-manager's (internal/apis/certmanager/validation/certificate.go) and ACME's. Last, fields
that certmill would ignore are refused."""

from __future__ import annotations

from collections.abc import Iterable

from certmill.errors import InvalidManifest
from certmill.model.certificate import (
    Certificate,
    IssuerRef,
    KeyAlgorithm,
    KeyEncoding,
    OutputFormat,
    PrivateKeySpec,
    RenewalPolicy,
    RenewalWindow,
    RotationPolicy,
    SecretTemplate,
    Subject,
)
from certmill.model.fallback_issuers import fallback_issuers_in
from certmill.model.identifiers import shown
from certmill.model.manifests.certificate.names import check_names, common_name_of
from certmill.model.manifests.certificate.refusals import (
    INSTEAD,
    check_lifetime,
    check_what_is_not_acted_on,
    refuse_what_acme_cannot_issue,
    refuse_what_is_not_acted_on,
)
from certmill.model.manifests.certificate.renewal import Renewal
from certmill.model.manifests.certificate.schema import (
    IssuerRefSchema,
    PrivateKeySchema,
    RequestSpec,
    SecretTemplateSchema,
    SubjectSchema,
)
from certmill.model.manifests.schema import Metadata, not_acted_on, refuse_if
from certmill.model.object_ref import ISSUER, ISSUER_KINDS

DEFAULT_USAGES = ("digital signature", "key encipherment")
DEFAULT_SIZES = {KeyAlgorithm.RSA: 2048, KeyAlgorithm.ECDSA: 256, KeyAlgorithm.ED25519: 0}

RSA_SIZES = range(2048, 8192 + 1)
CURVES = (256, 384, 521)
_SIGNATURES = {
    "RSA": ("SHA256WithRSA", "SHA384WithRSA", "SHA512WithRSA"),
    "ECDSA": ("ECDSAWithSHA256", "ECDSAWithSHA384", "ECDSAWithSHA512"),
    "Ed25519": ("PureEd25519",),
}
_ONLY_WITH_AGREEMENT = frozenset({"encipher only", "decipher only"})
_TEMPLATE_PREFIX = "cert-manager.io/"
_ALLOWED_IN_TEMPLATE = "cert-manager.io/allow-direct-injection"


def certificate_of(
    spec: RequestSpec, *, metadata: Metadata, namespace: str, secret_name: str, default_kind: str
) -> Certificate:
    """Build the Certificate of a spec. Raises InvalidManifest."""
    subject = _subject(spec.subject or SubjectSchema())
    check_names(spec)
    check_lifetime(spec)
    check_what_is_not_acted_on(spec, subject)
    dns_names, ip_addresses = _merged(spec.dns_names), _merged(spec.ip_addresses)
    key = _private_key(spec.private_key or PrivateKeySchema(), spec.signature_algorithm)
    issuer_ref, usages = _issuer_ref(spec.issuer_ref, default_kind), _usages(spec)
    refuse_what_acme_cannot_issue(spec)
    refuse_what_is_not_acted_on(spec)
    return Certificate(
        namespace=namespace,
        name=metadata.name,
        secret_name=secret_name,
        issuer_ref=issuer_ref,
        fallback_issuers=fallback_issuers_in(metadata.annotations or {}, default_kind=ISSUER).refs,
        common_name=common_name_of(spec, {*dns_names, *ip_addresses}),
        dns_names=dns_names,
        ip_addresses=ip_addresses,
        duration=spec.duration,
        renew_before=spec.renew_before,
        renew_before_percentage=spec.renew_before_percentage,
        renewal_policy=RenewalPolicy(spec.renewal.policy if spec.renewal else "RenewBefore"),
        renewal_windows=_windows(spec.renewal),
        private_key=key,
        subject=subject,
        literal_subject=spec.literal_subject or "",
        usages=usages,
        encode_usages_in_request=spec.encode_usages_in_request is not False,
        is_ca=spec.is_ca is True,
        signature_algorithm=spec.signature_algorithm or "",
        secret_template=_secret_template(spec.secret_template or SecretTemplateSchema()),
        additional_output_formats=_output_formats(spec),
        labels=metadata.labels or {},
        annotations=metadata.annotations or {},
        uid=metadata.uid or "",
    )


def _merged(values: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values or ()))


def _windows(renewal: Renewal | None) -> tuple[RenewalWindow, ...]:
    windows = (renewal.windows if renewal is not None else None) or ()
    return tuple(
        RenewalWindow(cron=window.cron, duration=window.window_duration, timezone=window.timezone or "UTC")
        for window in windows
    )


def _usages(spec: RequestSpec) -> tuple[str, ...]:
    usages = _merged(spec.usages) or DEFAULT_USAGES
    lonely = not _ONLY_WITH_AGREEMENT.isdisjoint(usages) and "key agreement" not in usages
    refuse_if(
        lonely, "needs key agreement with encipher only or decipher only (RFC 5280 §4.2.1.3)", "spec.usages"
    )
    return usages


def _private_key(key: PrivateKeySchema, signature: str | None) -> PrivateKeySpec:
    path = "spec.privateKey.size"
    name = key.algorithm or "RSA"
    if name == "RSA":
        refuse_if(
            bool(key.size) and key.size not in RSA_SIZES, "must be from 2048 to 8192 for an RSA key", path
        )
    elif name == "ECDSA":
        refuse_if(bool(key.size) and key.size not in CURVES, "must be 256, 384 or 521 for an ECDSA key", path)
    suited = _SIGNATURES[name]
    refuse_if(
        bool(signature) and signature not in suited,
        f"must be one of {', '.join(suited)} for an {name} key",
        "spec.signatureAlgorithm",
    )
    algorithm = KeyAlgorithm(name)
    # Ed25519 has one size; cert-manager ignores what is written there.
    size = (
        DEFAULT_SIZES[algorithm]
        if algorithm is KeyAlgorithm.ED25519
        else key.size or DEFAULT_SIZES[algorithm]
    )
    return PrivateKeySpec(
        algorithm=algorithm,
        size=size,
        encoding=KeyEncoding(key.encoding or "PKCS1"),
        rotation_policy=RotationPolicy(key.rotation_policy or "Always"),
    )


def _issuer_ref(ref: IssuerRefSchema, default_kind: str) -> IssuerRef:
    group = ref.group or ""
    if group not in ("", "cert-manager.io"):
        raise not_acted_on(
            "spec.issuerRef.group", instead=f"only issuers of the group cert-manager.io are known; {INSTEAD}"
        )
    if ref.kind and ref.kind not in ISSUER_KINDS:
        raise InvalidManifest("must be Issuer or ClusterIssuer", path="spec.issuerRef.kind")
    return IssuerRef(name=ref.name, kind=ref.kind or default_kind, group=group)


def _subject(subject: SubjectSchema) -> Subject:
    return Subject(
        organizations=tuple(subject.organizations or ()),
        countries=tuple(subject.countries or ()),
        organizational_units=tuple(subject.organizational_units or ()),
        localities=tuple(subject.localities or ()),
        provinces=tuple(subject.provinces or ()),
        street_addresses=tuple(subject.street_addresses or ()),
        postal_codes=tuple(subject.postal_codes or ()),
        serial_number=subject.serial_number or "",
    )


def _secret_template(template: SecretTemplateSchema) -> SecretTemplate:
    for key in template.annotations or ():
        wrong = key.startswith(_TEMPLATE_PREFIX) and key != _ALLOWED_IN_TEMPLATE
        refuse_if(
            wrong,
            f"{shown(key)} is not allowed: annotations under {_TEMPLATE_PREFIX} are ours to set",
            "spec.secretTemplate.annotations",
        )
    return SecretTemplate(labels=template.labels or {}, annotations=template.annotations or {})


def _output_formats(spec: RequestSpec) -> tuple[OutputFormat, ...]:
    formats = [OutputFormat(one.type) for one in spec.additional_output_formats or ()]
    refuse_if(len(formats) != len(set(formats)), "has the same type twice", "spec.additionalOutputFormats")
    return tuple(formats)
