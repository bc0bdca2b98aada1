"""Write a Certificate as a manifest, with only the fields that differ from the defaults."""

from __future__ import annotations

from certmill.model.certificate import (
    Certificate,
    IssuerRef,
    PrivateKeySpec,
    RenewalPolicy,
    RotationPolicy,
    Subject,
)
from certmill.model.durations import format_duration
from certmill.model.manifests.certificate.rules import DEFAULT_SIZES, DEFAULT_USAGES

_PLAIN = PrivateKeySpec()


def certificate_document(certificate: Certificate) -> dict[str, object]:
    """The cert-manager.io/v1 manifest of this Certificate, as plain dicts and lists."""
    metadata: dict[str, object] = {"name": certificate.name, "namespace": certificate.namespace}
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": metadata
        | _set(labels=dict(certificate.labels), annotations=dict(certificate.annotations)),
        "spec": _spec(certificate),
    }


def _set(**fields: object) -> dict[str, object]:
    """Those fields that are not empty."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def _spec(certificate: Certificate) -> dict[str, object]:
    template = certificate.secret_template
    formats = [{"type": one.value} for one in certificate.additional_output_formats]
    spec: dict[str, object] = {
        "secretName": certificate.secret_name,
        "issuerRef": _issuer_ref(certificate.issuer_ref),
    }
    spec |= _set(
        commonName=certificate.common_name if not certificate.literal_subject else "",
        literalSubject=certificate.literal_subject,
        dnsNames=list(certificate.dns_names),
        ipAddresses=list(certificate.ip_addresses),
        subject=_subject(certificate.subject),
        duration=format_duration(certificate.duration) if certificate.duration is not None else None,
        renewBefore=format_duration(certificate.renew_before)
        if certificate.renew_before is not None
        else None,
        renewBeforePercentage=certificate.renew_before_percentage,
        renewal=_renewal(certificate),
        privateKey=_private_key(certificate.private_key),
        signatureAlgorithm=certificate.signature_algorithm,
        usages=list(certificate.usages) if certificate.usages != DEFAULT_USAGES else None,
        secretTemplate=_set(labels=dict(template.labels), annotations=dict(template.annotations)),
        additionalOutputFormats=formats,
    )
    spec |= {} if certificate.encode_usages_in_request else {"encodeUsagesInRequest": False}
    return spec | ({"isCA": True} if certificate.is_ca else {})


def _renewal(certificate: Certificate) -> dict[str, object]:
    windows = [
        {"cron": window.cron, "windowDuration": format_duration(window.duration)}
        | ({"timezone": window.timezone} if window.timezone != "UTC" else {})
        for window in certificate.renewal_windows
    ]
    if not windows and certificate.renewal_policy is RenewalPolicy.RENEW_BEFORE:
        return {}
    return {"policy": certificate.renewal_policy.value} | _set(windows=windows)


def _issuer_ref(ref: IssuerRef) -> dict[str, object]:
    return {"name": ref.name} | _set(kind=ref.kind if ref.kind != "Issuer" else None, group=ref.group)


def _private_key(key: PrivateKeySpec) -> dict[str, object]:
    return _set(
        algorithm=key.algorithm.value if key.algorithm != _PLAIN.algorithm else None,
        size=key.size if key.size != DEFAULT_SIZES[key.algorithm] else None,
        encoding=key.encoding.value if key.encoding != _PLAIN.encoding else None,
        rotationPolicy=key.rotation_policy.value if key.rotation_policy != RotationPolicy.ALWAYS else None,
    )


def _subject(subject: Subject) -> dict[str, object]:
    return _set(
        organizations=list(subject.organizations),
        countries=list(subject.countries),
        organizationalUnits=list(subject.organizational_units),
        localities=list(subject.localities),
        provinces=list(subject.provinces),
        streetAddresses=list(subject.street_addresses),
        postalCodes=list(subject.postal_codes),
        serialNumber=subject.serial_number,
    )
