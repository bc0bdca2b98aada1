"""Check the combination of a Certificate's fields, and build the Certificate.

The rules are cert-manager's (internal/apis/certmanager/validation/certificate.go) and ACME's. Last, fields
that certmill would ignore are refused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from certmill.errors import InvalidManifest
from certmill.model.certificate import (
    Certificate,
    IssuerRef,
    KeyAlgorithm,
    KeyEncoding,
    OutputFormat,
    PrivateKeySpec,
    RotationPolicy,
    SecretTemplate,
    Subject,
)
from certmill.model.distinguished_names import COUNTRY, common_name, parse_name
from certmill.model.identifiers import dns_name, ip_address, is_ip_address, shown
from certmill.model.manifests.schema import Metadata, not_acted_on, refuse_if
from certmill.model.manifests.schema_certificate import (
    IssuerRefSchema,
    JksKeystore,
    NameConstraints,
    Pkcs12Keystore,
    PrivateKeySchema,
    Renewal,
    RequestSpec,
    SecretTemplateSchema,
    SubjectSchema,
)

MAX_NAMES = 100
"""Let's Encrypt's limit for the names of one certificate."""

DEFAULT_DURATION = timedelta(days=90)
DEFAULT_USAGES = ("digital signature", "key encipherment")
DEFAULT_SIZES = {KeyAlgorithm.RSA: 2048, KeyAlgorithm.ECDSA: 256, KeyAlgorithm.ED25519: 0}

MIN_DURATION = timedelta(hours=1)
MIN_RENEW_BEFORE = timedelta(minutes=5)
MAX_COMMON_NAME = 64
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
_COMMON_NAME_TOO = (
    "must be one of the certificate's names too: an ACME CA issues no other common name (RFC 8555 §7.4); "
    "add it to spec.dnsNames, or remove it"
)
_INSTEAD = "remove it, or keep cert-manager for this certificate"
_ONLY_NAMES = "an ACME CA can issue DNS names and IP addresses only"


def certificate_of(
    spec: RequestSpec, *, metadata: Metadata, namespace: str, secret_name: str, default_kind: str
) -> Certificate:
    """Build the Certificate of a spec. Raises InvalidManifest."""
    _check_names(spec)
    _check_lifetime(spec)
    _check_what_is_not_acted_on(spec)
    dns_names, ip_addresses = _merged(spec.dns_names), _merged(spec.ip_addresses)
    key = _private_key(spec.private_key or PrivateKeySchema(), spec.signature_algorithm)
    issuer_ref = _issuer_ref(spec.issuer_ref, default_kind)
    usages = _merged(spec.usages) or DEFAULT_USAGES
    lonely = not _ONLY_WITH_AGREEMENT.isdisjoint(usages) and "key agreement" not in usages
    refuse_if(
        lonely, "needs key agreement with encipher only or decipher only (RFC 5280 §4.2.1.3)", "spec.usages"
    )
    _refuse_what_acme_cannot_issue(spec)
    _refuse_what_is_not_acted_on(spec)
    common_name = spec.common_name or _literal_common_name(spec.literal_subject)
    return Certificate(
        namespace=namespace,
        name=metadata.name,
        secret_name=secret_name,
        issuer_ref=issuer_ref,
        common_name=_common_name(
            common_name,
            {*dns_names, *ip_addresses},
            "spec.literalSubject" if spec.literal_subject else "spec.commonName",
        ),
        dns_names=dns_names,
        ip_addresses=ip_addresses,
        duration=spec.duration,
        renew_before=spec.renew_before,
        renew_before_percentage=spec.renew_before_percentage,
        private_key=key,
        subject=_subject(spec.subject or SubjectSchema()),
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


def _check_names(spec: RequestSpec) -> None:
    """At least one name, and not more than a CA takes."""
    number = len({*(spec.dns_names or ())}) + len({*(spec.ip_addresses or ())})
    path = "spec.dnsNames" if spec.dns_names or not spec.ip_addresses else "spec.ipAddresses"
    refuse_if(
        number > MAX_NAMES,
        f"has {number} names with spec.ipAddresses, {MAX_NAMES} at most: make several Certificates",
        path,
    )
    if number or spec.uris or spec.email_addresses or spec.other_names:
        return
    refuse_if(bool(spec.common_name), _COMMON_NAME_TOO, "spec.commonName")
    raise InvalidManifest(
        "is required: a certificate needs at least one name in spec.dnsNames or spec.ipAddresses", path=path
    )


def _literal_common_name(text: str | None) -> str:
    path = "spec.literalSubject"
    if not text:
        return ""
    try:
        name = parse_name(text)
    except ValueError as error:
        raise InvalidManifest(str(error), path=path) from None
    countries = [value for relative in name for identifier, value in relative if identifier == COUNTRY]
    refuse_if(
        any(len(value) != 2 for value in countries),
        "has a country that is not a code of two letters (X.520 countryName)",
        path,
    )
    return common_name(name)


def _common_name(text: str, names: set[str], path: str) -> str:
    """The common name in the form of the name that it repeats, which ACME requires (RFC 8555 §7.4)."""
    if not text:
        return ""
    try:
        canonical = ip_address(text) if is_ip_address(text) else dns_name(text)
    except ValueError:
        canonical = text
    if max(len(text), len(canonical)) > MAX_COMMON_NAME:
        raise InvalidManifest(f"is longer than {MAX_COMMON_NAME} characters; leave it away", path=path)
    if canonical not in names:
        raise InvalidManifest(f"{shown(text)} {_COMMON_NAME_TOO}", path=path)
    return canonical


def _check_lifetime(spec: RequestSpec) -> None:
    """Of duration, renewBefore and renewBeforePercentage."""
    duration = DEFAULT_DURATION if spec.duration is None else spec.duration
    before, percentage = spec.renew_before, spec.renew_before_percentage
    refuse_if(duration < MIN_DURATION, "must be at least 1h", "spec.duration")
    refuse_if(
        before is not None and percentage is not None,
        "cannot be set together with spec.renewBeforePercentage",
        "spec.renewBefore",
    )
    if before is not None:
        refuse_if(before < MIN_RENEW_BEFORE, "must be at least 5m", "spec.renewBefore")
        refuse_if(
            before >= duration, "must be shorter than spec.duration (2160h if not set)", "spec.renewBefore"
        )
    if percentage is not None:
        path = "spec.renewBeforePercentage"
        refuse_if(not 0 < percentage < 100, "must be from 1 to 99", path)
        refuse_if(
            duration * percentage / 100 < MIN_RENEW_BEFORE, "must come to at least 5m of spec.duration", path
        )


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
            "spec.issuerRef.group", instead=f"only issuers of the group cert-manager.io are known; {_INSTEAD}"
        )
    if ref.kind and ref.kind not in ("Issuer", "ClusterIssuer"):
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


def _check_what_is_not_acted_on(spec: RequestSpec) -> None:
    """cert-manager's rules for fields that certmill refuses later; a mistake gives cert-manager's message."""
    limit = spec.revision_history_limit
    refuse_if(limit is not None and limit < 1, "must be at least 1", "spec.revisionHistoryLimit")
    if spec.literal_subject:
        subject_is_set = spec.subject is not None and _subject(spec.subject) != Subject()
        refuse_if(
            bool(spec.common_name), "cannot be set together with spec.commonName", "spec.literalSubject"
        )
        refuse_if(subject_is_set, "cannot be set together with spec.subject", "spec.literalSubject")
    if spec.name_constraints is not None:
        _check_name_constraints(spec.name_constraints, is_ca=spec.is_ca is True)
    if spec.keystores is not None:
        _check_keystore(spec.keystores.jks, "spec.keystores.jks")
        _check_keystore(spec.keystores.pkcs12, "spec.keystores.pkcs12")
    if spec.renewal is not None:
        _check_renewal(spec.renewal)


def _check_name_constraints(constraints: NameConstraints, *, is_ca: bool) -> None:
    path = "spec.nameConstraints"
    refuse_if(not is_ca, "may be set only together with spec.isCA", path)
    refuse_if(
        constraints.permitted is None and constraints.excluded is None, "needs permitted or excluded", path
    )


def _check_keystore(keystore: JksKeystore | Pkcs12Keystore | None, path: str) -> None:
    if keystore is None:
        return
    has_ref = keystore.password_secret_ref is not None and bool(keystore.password_secret_ref.name)
    refuse_if(
        has_ref is (keystore.password is not None),
        "needs exactly one of passwordSecretRef and password",
        path,
    )
    refuse_if(keystore.password == "", "must not be empty", f"{path}.password")


def _check_renewal(renewal: Renewal) -> None:
    refuse_if(
        renewal.policy == "Disabled" and bool(renewal.windows),
        "cannot be set with the policy Disabled",
        "spec.renewal.windows",
    )
    for index, window in enumerate(renewal.windows or ()):
        refuse_if(
            window.window_duration <= timedelta(),
            "must be longer than nothing",
            f"spec.renewal.windows[{index}].windowDuration",
        )


def _refuse_what_acme_cannot_issue(spec: RequestSpec) -> None:
    """`isCA` is accepted, because an ACME CA ignores it, also with cert-manager. Other fields that the CA
    would omit from the certificate are refused."""
    fields = {
        "uris": (spec.uris, _ONLY_NAMES),
        "emailAddresses": (spec.email_addresses, _ONLY_NAMES),
        "otherNames": (spec.other_names, _ONLY_NAMES),
        "nameConstraints": (
            spec.name_constraints,
            "an ACME CA can issue no CA certificate, and so no name constraints",
        ),
    }
    for name, (is_set, why) in fields.items():
        refuse_if(
            bool(is_set),
            f"{why}: remove it, or keep cert-manager with an issuer that is not ACME for this certificate",
            f"spec.{name}",
        )


def _refuse_what_is_not_acted_on(spec: RequestSpec) -> None:
    """Accept fields that equal the default (a keystore with create: false, renewal without windows)."""
    keystores, renewal = spec.keystores, spec.renewal
    fields = {
        "keystores": keystores
        and any(one is not None and one.create for one in (keystores.jks, keystores.pkcs12)),
        "renewal": renewal and (renewal.policy != "RenewBefore" or renewal.windows),
    }
    for name, is_set in fields.items():
        if is_set:
            raise not_acted_on(f"spec.{name}", instead=_INSTEAD)
