"""What a user has put into a Secret costs milliseconds to refuse, whatever it is and wherever it is read."""

from __future__ import annotations

import time

import pytest

from certmill.acme.jws import AccountKey
from certmill.acme.resources import ExternalAccount
from certmill.crypto import chain, keys
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.dns01.providers.rfc2136.update import Rfc2136Provider
from certmill.errors import CertmillError
from certmill.model.secret import Secret
from certmill.model.status import CertificateStatus
from certmill.renewal.decision import decide
from certmill.renewal.observation import observe
from tests.support.bait import BAIT
from tests.support.builders import NOW, a_certificate

TSIG = Rfc2136(nameserver="192.0.2.1", tsig_key_name="certmill")
READERS = {
    "a chain": chain.leaf,
    "the certificates of a chain": chain.split,
    "a private key": keys.load,
    "a key for its DER": keys.to_der,
    "an account key": AccountKey.from_pem,
    "a TSIG secret": lambda bait: Rfc2136Provider(TSIG, tsig_secret=bait.decode()),
    "an external account key": lambda bait: ExternalAccount.from_base64url("kid", bait.decode()),
}
CAPPED = {"a chain", "the certificates of a chain", "a private key", "a key for its DER", "an account key"}
"""Credentials are, where they are read from their Secret (issuers.account)."""
CAPS = [chain.MAX_CHAIN_BYTES, keys.MAX_KEY_BYTES, 1_000_000]


@pytest.mark.parametrize("size", CAPS)
@pytest.mark.parametrize("bait", BAIT)
@pytest.mark.parametrize("reader", READERS)
def test_crafted_pem_is_refused_in_no_time_at_every_size_that_is_parsed(reader, bait, size):
    began = time.thread_time()

    with pytest.raises(CertmillError) as refused:
        READERS[reader](BAIT[bait][:size])

    assert time.thread_time() - began < 0.5
    assert "BEGIN" not in str(refused.value)
    assert size < max(CAPS) or reader not in CAPPED or "larger than" in str(refused.value)


@pytest.mark.parametrize("bait", BAIT)
def test_a_secret_of_it_is_decided_in_no_time(bait):
    secret = Secret(
        namespace="default",
        name="web-tls",
        type="kubernetes.io/tls",
        data={"tls.crt": BAIT[bait], "tls.key": BAIT[bait]},
    )
    began = time.thread_time()

    decision = decide(observe(a_certificate(), secret, CertificateStatus(), ("",)), NOW)

    assert time.thread_time() - began < 0.5
    assert decision.violation.reason == "InvalidKeyPair"
