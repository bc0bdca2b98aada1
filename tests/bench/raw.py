"""raw_certs_per_s: what the CA, the name server and Python's crypto allow one thread that keeps nothing and
survives nothing.

The `acme` package's own client does the work. Only its waits are ours: it sleeps a second before it looks,
which would make any pipeline look fast; here the looks are 20 ms apart."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import TypeVar

import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.update
from acme import challenges, client, crypto_util, messages
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy.jwk import JWKRSA
from josepy.util import ComparableRSAKey

from tests.bench.figures import Result
from tests.bench.ground import TSIG_KEY, TSIG_SECRET, ZONE, Ground

COUNT, WARM = 150, 5
_LOOK_SECONDS = 0.02
_LOOKS = 500

T = TypeVar("T")


def measure(ground: Ground) -> Result:
    """Issue COUNT certificates, one after the other."""
    loop = _Loop(ground)
    for number in range(WARM):
        loop.issue(f"raw-warm-{number}.{ZONE}")
    began = time.perf_counter()
    for number in range(COUNT):
        loop.issue(f"raw-{number}.{ZONE}")
    seconds = time.perf_counter() - began
    note = (
        f"raw: {COUNT} in {seconds:.1f} s, {loop.again} of them begun again because acme gives up on a "
        "second badNonce"
    )
    return Result(figures={"raw_certs_per_s": COUNT / seconds}, notes=[note])


class _Loop:
    """One account (RSA-2048) and one name server."""

    def __init__(self, ground: Ground) -> None:
        self._bind = ground.bind
        self._keyring = {
            dns.name.from_text(TSIG_KEY): dns.tsig.Key(TSIG_KEY, base64.b64decode(TSIG_SECRET), "hmac-sha256")
        }
        key = JWKRSA(key=ComparableRSAKey(rsa.generate_private_key(65537, 2048)))
        net = client.ClientNetwork(key, user_agent="certmill-bench", verify_ssl=str(ground.pebble.ca_file))  # type: ignore[arg-type]  # requests takes a file
        self._acme = client.ClientV2(client.ClientV2.get_directory(ground.pebble.directory_url, net), net)
        self._key = key
        self.again = 0
        self._acme.new_account(
            messages.NewRegistration.from_data(email="raw@example.test", terms_of_service_agreed=True)
        )

    def issue(self, name: str) -> str:
        """One certificate; begun again as often as the nonce is refused twice. The chain's PEM."""
        while True:
            try:
                return self._issue(name)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
                self.again += 1

    def _issue(self, name: str) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        order = self._acme.new_order(crypto_util.make_csr(pem, [name]))
        authorization = order.authorizations[0]
        challenge = next(c for c in authorization.body.challenges if isinstance(c.chall, challenges.DNS01))
        response, value = challenge.response_and_validation(self._key)
        record = f"_acme-challenge.{name}."
        self._update(record, value, adding=True)
        _look_until(lambda: self._visible(record, value))
        self._acme.answer_challenge(challenge, response)
        _look_until(lambda: self._acme.poll(authorization)[0].body.status == messages.STATUS_VALID)
        order = self._acme.begin_finalization(order)
        url = order.body.certificate or _look_until(lambda: self._certificate_of(order.uri))
        chain = str(self._acme._post_as_get(url).text)
        self._update(record, value, adding=False)
        return chain

    def _certificate_of(self, order: str) -> str | None:
        body = messages.Order.from_json(self._acme._post_as_get(order).json())
        return str(body.certificate) if body.certificate else None

    def _update(self, record: str, value: str, *, adding: bool) -> None:
        update = dns.update.UpdateMessage(ZONE, keyring=self._keyring)
        name = dns.name.from_text(record).relativize(dns.name.from_text(ZONE))
        if adding:
            update.add(name, 60, "TXT", value)
        else:
            update.delete(name, "TXT", value)
        dns.query.udp(update, "127.0.0.1", port=self._bind.port, timeout=5)

    def _visible(self, record: str, value: str) -> bool:
        answer = dns.query.udp(
            dns.message.make_query(record, dns.rdatatype.TXT), "127.0.0.1", port=self._bind.port, timeout=5
        )
        return any(value.encode() in item.strings for rrset in answer.answer for item in rrset)


def _look_until(look: Callable[[], T]) -> T:
    """Look every _LOOK_SECONDS until something is seen; that."""
    for _ in range(_LOOKS):
        seen = look()
        if seen:
            return seen
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError("the CA or the name server takes too long")
