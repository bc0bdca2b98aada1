"""Refuse what cert-manager refuses, what an ACME CA cannot issue, and fields that certmill would ignore."""

from __future__ import annotations

from datetime import timedelta

from certmill.model.certificate import Subject
from certmill.model.manifests.certificate.renewal import Renewal
from certmill.model.manifests.certificate.schema import (
    JksKeystore,
    NameConstraints,
    Pkcs12Keystore,
    RequestSpec,
)
from certmill.model.manifests.schema import not_acted_on, refuse_if

DEFAULT_DURATION = timedelta(days=90)
MIN_DURATION = timedelta(hours=1)
MIN_RENEW_BEFORE = timedelta(minutes=5)

INSTEAD = "remove it, or keep cert-manager for this certificate"
_ONLY_NAMES = "an ACME CA can issue DNS names and IP addresses only"


def check_lifetime(spec: RequestSpec) -> None:
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


def check_what_is_not_acted_on(spec: RequestSpec, subject: Subject) -> None:
    """cert-manager's rules for fields that certmill refuses later; a mistake gives cert-manager's message."""
    limit = spec.revision_history_limit
    refuse_if(limit is not None and limit < 1, "must be at least 1", "spec.revisionHistoryLimit")
    if spec.literal_subject:
        subject_is_set = subject != Subject()
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


def refuse_what_acme_cannot_issue(spec: RequestSpec) -> None:
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


def refuse_what_is_not_acted_on(spec: RequestSpec) -> None:
    """Accept keystores with create: false."""
    keystores = spec.keystores
    stores = (keystores.jks, keystores.pkcs12) if keystores is not None else ()
    if any(one is not None and one.create for one in stores):
        raise not_acted_on("spec.keystores", instead=INSTEAD)
