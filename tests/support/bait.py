"""A megabyte of PEM, the size limit of a Secret, that makes parsers start again many times
(GHSA-r4pg-vg54-wxx4)."""

from __future__ import annotations

SIZE = 1_000_000


def _filled(line: bytes) -> bytes:
    return line * (SIZE // len(line))


BAIT = {
    "certificates": _filled(b"-----BEGIN CERTIFICATE-----\n"),
    "keys": _filled(b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"),
    "dashes": _filled(b"-----BEGIN "),
    "ends": _filled(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE----- \n"),
}
