from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certmill.acme import ari
from certmill.crypto import chain
from certmill.crypto.cert_id import cert_id
from tests.support.certificates import a_leaf, as_pem


def certificate(serial, key_identifier):
    known = [] if key_identifier is None else [x509.AuthorityKeyIdentifier(key_identifier, None, None)]
    return a_leaf(ec.generate_private_key(ec.SECP256R1()), serial=serial, extensions=known)


def test_the_id_is_that_of_the_example_in_rfc_9773():
    key_identifier = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")

    found = cert_id(certificate(0x0087654321, key_identifier))

    assert found == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    assert ari.is_cert_id(found)


@pytest.mark.parametrize(("serial", "encoded"), [(1, "AQ"), (0x7F, "fw"), (0x80, "AIA"), (0x100, "AQA")])
def test_a_serial_number_is_a_der_integer(serial, encoded):
    assert cert_id(certificate(serial, b"\x01")).partition(".")[2] == encoded


def test_a_certificate_without_a_key_identifier_has_no_id():
    assert cert_id(certificate(1, None)) == ""


def test_the_leaf_of_a_chain_has_its_id():
    pem = as_pem(certificate(0x0087654321, bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")))

    assert chain.leaf(pem).cert_id == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
