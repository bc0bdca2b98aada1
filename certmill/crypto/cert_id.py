"""Computes the identifier of a certificate for the CA's renewal information (RFC 9773 §4.1)."""

from __future__ import annotations

import base64

from cryptography import x509


def cert_id(certificate: x509.Certificate) -> str:
    """base64url of the authority key identifier, a dot, base64url of the serial number. "" if the certificate
    has no authority key identifier."""
    try:
        key_identifier = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
    except x509.ExtensionNotFound:
        key_identifier = None
    if not key_identifier:
        return ""
    # The octets of the DER INTEGER: with a leading zero byte if the first bit is set (RFC 9773 §4.1).
    serial = certificate.serial_number
    return f"{_base64url(key_identifier)}.{_base64url(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
