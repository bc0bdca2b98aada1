from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certmill.acme import ari
from certmill.acme.ari import RenewalInfo
from certmill.errors import CAUnavailable, OrderRefused
from tests.support.certificates import a_leaf

WINDOW = {"start": "2026-11-24T12:00:00Z", "end": "2026-11-25T12:00:00Z"}


def certificate(serial, key_identifier):
    known = [] if key_identifier is None else [x509.AuthorityKeyIdentifier(key_identifier, None, None)]
    return a_leaf(ec.generate_private_key(ec.SECP256R1()), serial=serial, extensions=known)


def test_the_id_is_that_of_the_example_in_rfc_9773():
    key_identifier = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")

    found = ari.cert_id(certificate(0x0087654321, key_identifier))

    assert found == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    assert ari.is_cert_id(found)


@pytest.mark.parametrize(("serial", "encoded"), [(1, "AQ"), (0x7F, "fw"), (0x80, "AIA"), (0x100, "AQA")])
def test_a_serial_number_is_a_der_integer(serial, encoded):
    assert ari.cert_id(certificate(serial, b"\x01")).partition(".")[2] == encoded


def test_a_certificate_without_a_key_identifier_has_no_id():
    with pytest.raises(OrderRefused, match="authority key identifier"):
        ari.cert_id(certificate(1, None))


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "a/b.c", "../a.b", "a.b\n", "a." + "b" * 200])
def test_what_could_be_a_path_is_no_id(text):
    assert not ari.is_cert_id(text)


def test_the_window_is_read():
    info = RenewalInfo.from_json(
        {"suggestedWindow": WINDOW, "explanationURL": "https://ca.example/why"}, retry_after=7200.0
    )

    assert info == RenewalInfo(
        start=1795521600.0, end=1795608000.0, explanation_url="https://ca.example/why", retry_after=7200.0
    )


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 21600.0), (0.0, 60.0), (59.0, 60.0), (3600.0, 3600.0), (604800.0, 86400.0)]
)
def test_the_next_reconciliation_is_between_a_minute_and_a_day_away(header, seconds):
    assert RenewalInfo.from_json({"suggestedWindow": WINDOW}, retry_after=header).retry_after == seconds


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"suggestedWindow": None},
        {"suggestedWindow": {}},
        {"suggestedWindow": {"start": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["end"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": WINDOW["start"], "end": WINDOW["start"]}},
        {"suggestedWindow": {"start": "soon", "end": "later"}},
        {"suggestedWindow": [1, 2]},
    ],
)
def test_a_window_that_makes_no_sense_is_not_used(body):
    """RFC 9773 §4.2: an end that is not after the start is to be treated as no answer."""
    with pytest.raises(CAUnavailable):
        RenewalInfo.from_json(body, retry_after=None)
