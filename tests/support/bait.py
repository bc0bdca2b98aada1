"""A megabyte of PEM, as large as a Secret may be, that makes parsers begin again and again
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
