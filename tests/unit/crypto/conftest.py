"""A test CA: certificates as an ACME CA issues them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.certificates import a_leaf, alternative_names, as_pem, private_key, x509_name

NOT_BEFORE = datetime(2027, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2027, 4, 1, tzinfo=UTC)


class CA:
    """Issues for any public key; `root` names the issuer of the chain's intermediate."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())

    def certificate(
        self, public_key, *, subject="", issuer="Test Intermediate", names=(), serial=0x1F, extensions=()
    ):
        leaf = a_leaf(
            self.key,
            public_key=public_key,
            subject=x509_name(subject),
            issuer=issuer,
            names=names,
            not_before=NOT_BEFORE.timestamp(),
            days=(NOT_AFTER - NOT_BEFORE).days,
            serial=serial,
            extensions=extensions,
        )
        return as_pem(leaf)

    def chain(self, key_pem, *, dns_names=(), ip_addresses=(), uris=(), common_name="", root="Test Root"):
        """Leaf and one intermediate."""
        names = alternative_names(dns_names, ip_addresses, uris=uris)
        public_key = private_key(key_pem).public_key()
        leaf = self.certificate(public_key, subject=common_name, names=names)
        return leaf + self.certificate(
            self.key.public_key(), subject="Test Intermediate", issuer=root, serial=2
        )


@pytest.fixture(scope="session")
def ca():
    return CA()
