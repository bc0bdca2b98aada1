from __future__ import annotations

import base64
import time
from dataclasses import replace

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from certmill.crypto import chain, keys
from certmill.errors import CertificateWrong, SecretUnusable
from certmill.model.certificate import Certificate, IssuerRef, KeyAlgorithm, PrivateKeySpec, Subject

KEY = keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256))
OTHER_KEY = keys.generate(PrivateKeySpec(algorithm=KeyAlgorithm.ECDSA, size=256))
NOW = 1_799_000_000.0
WEB = Certificate(
    namespace="default",
    name="web",
    secret_name="web",
    issuer_ref=IssuerRef(name="prod"),
    dns_names=("example.com", "*.example.com"),
    ip_addresses=("2001:db8::1",),
)
NAMES = {"dns_names": WEB.dns_names, "ip_addresses": WEB.ip_addresses}


def test_a_leaf_reports_what_the_secret_contract_needs(ca):
    pem = ca.chain(
        KEY,
        dns_names=("Example.com", "*.example.com"),
        ip_addresses=("2001:DB8:0::1",),
        uris=("spiffe://x",),
        common_name="example.com",
    )

    leaf = chain.leaf(pem)

    assert leaf == chain.Leaf(
        serial="1f",
        not_before=1_798_761_600.0,
        not_after=1_806_537_600.0,
        dns_names=("example.com", "*.example.com"),
        ip_addresses=("2001:db8::1",),
        uris=("spiffe://x",),
        email_addresses=(),
        common_name="example.com",
        subject=Subject(),
        public_key=chain.key_of(KEY),
        issuer_common_name="Test Intermediate",
    )


def test_a_chain_that_is_read_again_is_not_parsed_again(ca):
    pem = ca.chain(KEY, **NAMES)

    assert chain.leaf(bytes(bytearray(pem))) is chain.leaf(pem)


def test_a_leaf_without_names_and_subject_is_readable(ca):
    leaf = chain.leaf(ca.chain(KEY))

    assert (leaf.dns_names, leaf.ip_addresses, leaf.uris, leaf.common_name) == ((), (), (), "")


def test_a_chain_is_split_into_its_certificates_leaf_first(ca):
    pem = ca.chain(KEY, **NAMES)

    parts = chain.split(pem)

    assert len(parts) == 2
    assert b"".join(parts) == pem
    assert chain.leaf(parts[0]) == chain.leaf(pem)


def test_keys_are_compared_by_their_public_part(ca):
    assert chain.leaf(ca.chain(KEY)).public_key == chain.key_of(KEY)
    assert chain.leaf(ca.chain(KEY)).public_key != chain.key_of(OTHER_KEY)


def test_the_preferred_chain_is_the_one_whose_top_was_issued_by_that_name(ca):
    default = ca.chain(KEY, root="Root X1").decode()
    alternate = ca.chain(KEY, root="Root X2").decode()

    assert chain.choose(default, [alternate], "Root X2") == alternate
    assert chain.choose(default, [alternate], "Root X1") == default
    assert chain.choose(default, [alternate], "") == default
    assert chain.choose(default, [alternate], "Test Intermediate") == default
    assert chain.top_issuer_common_name(alternate.encode()) == "Root X2"


def test_no_more_alternates_are_taken_than_the_choice_needs(ca):
    default = ca.chain(KEY, root="Root X1").decode()
    wanted, another = (ca.chain(KEY, root=root).decode() for root in ("Root X2", "Root X3"))
    alternates = iter([wanted, another])

    assert chain.choose(default, alternates, "") == default
    assert chain.choose(default, alternates, "Root X1") == default
    assert chain.choose(default, alternates, "Root X2") == wanted
    assert list(alternates) == [another]


def test_a_broken_alternate_does_not_stop_the_choice(ca):
    default = ca.chain(KEY, root="Root X1").decode()
    alternate = ca.chain(KEY, root="Root X2").decode()

    assert chain.choose(default, ["garbage", alternate], "Root X2") == alternate
    assert chain.choose(default, ["garbage"], "Root X2") == default


def test_our_own_certificate_passes(ca):
    chain.check(ca.chain(KEY, **NAMES), KEY, WEB, now=NOW)


def test_a_ca_may_leave_the_common_name_out(ca):
    chain.check(ca.chain(KEY, **NAMES), KEY, replace(WEB, common_name="example.com"), now=NOW)


@pytest.mark.parametrize(
    ("issued", "certificate", "now", "what"),
    [
        ({}, WEB, NOW, "its DNS names lack *.example.com, example.com; its IP addresses lack 2001:db8::1"),
        ({**NAMES, "dns_names": ("example.com",)}, WEB, NOW, "its DNS names lack *.example.com"),
        ({**NAMES, "dns_names": (*WEB.dns_names, "evil.test")}, WEB, NOW, "its DNS names have evil.test too"),
        (
            {**NAMES, "common_name": "other.test"},
            replace(WEB, common_name="example.com"),
            NOW,
            "its common name is not the requested one",
        ),
        (NAMES, WEB, 1_806_537_600.0, "it has expired"),
    ],
)
def test_a_certificate_that_differs_is_refused_naming_what_differs(ca, issued, certificate, now, what):
    with pytest.raises(CertificateWrong) as caught:
        chain.check(ca.chain(KEY, **issued), KEY, certificate, now=now)

    assert what in str(caught.value)
    assert "default/web" in str(caught.value)


def test_a_certificate_for_another_key_is_refused(ca):
    with pytest.raises(CertificateWrong, match="its key is not the key of the request"):
        chain.check(ca.chain(OTHER_KEY, **NAMES), KEY, WEB, now=NOW)


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_an_answer_that_is_no_chain_is_refused(pem):
    with pytest.raises(CertificateWrong, match="not a certificate chain"):
        chain.check(pem, KEY, WEB, now=NOW)


def test_a_chain_that_is_damaged_after_its_leaf_is_unusable(ca):
    pem = ca.chain(KEY, **NAMES)

    with pytest.raises(SecretUnusable):
        chain.leaf(pem[:-200] + b"AAAA\n-----END CERTIFICATE-----\n")


BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "crafted",
    [
        BEGIN * 37_000,
        b"-----BEGIN " * 95_000,
        (BEGIN + b"A" * 64 + b"\n" + END) * 8_500,
        BEGIN + b"A" * 1_000_000 + b"\n" + END,
        (BEGIN * 3_500)[:94_000],
        BEGIN + b"A: b\n" * 18_000 + END,
        b"-" * 94_000,
    ],
    ids=["begins", "half-begins", "many", "one", "begins-under-the-cap", "headers", "dashes"],
)
def test_crafted_pem_is_handled_in_ten_milliseconds(crafted):
    """GHSA-r4pg-vg54-wxx4."""
    took = []
    for _ in range(5):
        began = time.thread_time()
        with pytest.raises(SecretUnusable):
            chain.leaf(crafted)
        took.append(time.thread_time() - began)

    assert min(took) < 0.01


def test_a_leaf_over_its_own_cap_is_refused(ca):
    large = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\4\x82\x7d\0" + bytes(32_000))
    public_key = keys.load(KEY).public_key()

    with pytest.raises(SecretUnusable, match="first certificate is larger than 36500 bytes"):
        chain.leaf(ca.certificate(public_key, extensions=[large]))


@pytest.mark.filterwarnings("ignore::UserWarning")  # what cryptography still accepts, with a warning
@settings(max_examples=200)
@given(st.integers(0, 700), st.binary(min_size=1, max_size=8))
def test_whatever_a_certificate_holds_it_is_readable_or_unusable(ca, at, noise):
    """Bytes of the DER are overwritten, so that the PEM is good and the certificate may not be."""
    der = bytearray(base64.b64decode(b"".join(chain.split(ca.chain(KEY, **NAMES))[0].splitlines()[1:-1])))
    der[at % len(der) : at % len(der) + len(noise)] = noise
    pem = BEGIN + base64.encodebytes(bytes(der)) + END

    try:
        chain.leaf(pem)
    except SecretUnusable as error:
        assert error.__suppress_context__  # noqa: PT017 - both outcomes are right
