"""A Hypothesis strategy of Certificates that the parser accepts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import strategies as st

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
from certmill.model.manifests.certificate.rules import DEFAULT_USAGES
from certmill.model.manifests.certificate.schema import USAGES

labels = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


names = st.lists(labels, min_size=1, max_size=3).map(".".join)


words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12).filter(
    str.strip
)


pairs = st.dictionaries(st.builds("{}/{}".format, names, labels), labels, max_size=2)


keys = st.one_of(
    st.builds(
        PrivateKeySpec,
        size=st.integers(2048, 8192),
        encoding=st.sampled_from(KeyEncoding),
        rotation_policy=st.sampled_from(RotationPolicy),
    ),
    st.builds(
        PrivateKeySpec,
        algorithm=st.just(KeyAlgorithm.ECDSA),
        size=st.sampled_from([256, 384, 521]),
        encoding=st.sampled_from(KeyEncoding),
    ),
    st.builds(PrivateKeySpec, algorithm=st.just(KeyAlgorithm.ED25519), size=st.just(0)),
)


minutes = st.integers(60, 100_000)


windows = st.lists(
    st.builds(
        RenewalWindow,
        cron=st.sampled_from(["0 4 * * 2", "*/7 0-5 1,15 JAN-JUN mon-fri", "0 0 29 2 *"]),
        duration=minutes.map(lambda each: timedelta(minutes=each)),
        timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo"]),
    ),
    max_size=2,
).map(tuple)


several_words = st.lists(words, max_size=2).map(tuple)


dns_name = st.builds("{}{}".format, st.sampled_from(["", "*."]), names)


subjects = st.builds(
    Subject,
    organizations=several_words,
    countries=st.sampled_from([(), ("DE",)]),
    organizational_units=several_words,
    localities=several_words,
    provinces=several_words,
    street_addresses=several_words,
    postal_codes=several_words,
    serial_number=st.sampled_from(["", "7"]),
)


def suited(usages: Sequence[str]) -> tuple[str, ...]:
    """Two of the usages require a third."""
    return (
        tuple(usages)
        if {"encipher only", "decipher only"}.isdisjoint(usages)
        else tuple(dict.fromkeys([*usages, "key agreement"]))
    )


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    dns_names = tuple(draw(st.lists(dns_name, min_size=1, max_size=4, unique=True)))
    duration = draw(st.none() | minutes.map(lambda n: timedelta(minutes=n)))
    short_enough = [name for name in dns_names if len(name) <= 64]
    before = draw(st.none() | st.integers(5, 59).map(lambda n: timedelta(minutes=n, seconds=0.5)))
    key, policy = draw(keys), draw(st.sampled_from(RenewalPolicy))
    signature = {"RSA": "SHA384WithRSA", "ECDSA": "ECDSAWithSHA512", "Ed25519": "PureEd25519"}[key.algorithm]
    return Certificate(
        namespace=draw(labels),
        name=draw(names),
        secret_name=draw(names),
        issuer_ref=IssuerRef(
            name=draw(names),
            kind=draw(st.sampled_from(["Issuer", "ClusterIssuer"])),
            group=draw(st.sampled_from(["", "cert-manager.io"])),
        ),
        common_name=draw(st.sampled_from(["", *short_enough])),
        dns_names=dns_names,
        ip_addresses=tuple(dict.fromkeys(map(str, draw(st.lists(st.ip_addresses(v=4), max_size=3))))),
        duration=duration,
        renew_before=before,
        renew_before_percentage=None if before else draw(st.none() | st.integers(9, 99)),
        renewal_policy=policy,
        renewal_windows=draw(windows) if policy is RenewalPolicy.RENEW_BEFORE else (),
        private_key=key,
        subject=draw(subjects),
        usages=draw(
            st.lists(st.sampled_from(USAGES), min_size=1, unique=True).map(suited) | st.just(DEFAULT_USAGES)
        ),
        encode_usages_in_request=draw(st.booleans()),
        signature_algorithm=draw(st.sampled_from(["", signature])),
        secret_template=SecretTemplate(
            labels=draw(pairs), annotations=draw(st.dictionaries(labels, words, max_size=2))
        ),
        additional_output_formats=tuple(draw(st.lists(st.sampled_from(OutputFormat), unique=True))),
        labels=draw(pairs),
        annotations=draw(st.dictionaries(labels, words, max_size=2)),
    )
