"""The client for DNS UPDATE (RFC 2136) with TSIG (RFC 8945). It adds one value to a name or removes
one; the server does each update atomically."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update

from certmill.dns01.base import TxtRecord
from certmill.dns01.providers.rfc2136 import Protocol, Rfc2136, TsigAlgorithm
from certmill.dns01.servers import address_of
from certmill.errors import ProviderUnavailable, SecretUnusable, SolverMisconfigured

_ALGORITHMS = {
    TsigAlgorithm.HMACMD5: dns.tsig.HMAC_MD5,
    TsigAlgorithm.HMACSHA1: dns.tsig.HMAC_SHA1,
    TsigAlgorithm.HMACSHA256: dns.tsig.HMAC_SHA256,
    TsigAlgorithm.HMACSHA512: dns.tsig.HMAC_SHA512,
}
_Keyring = dict[dns.name.Name, dns.tsig.Key]
_MAX_UDP_BYTES = 512
_HEADER_BYTES = 12 + 6
"""The header of a message (RFC 1035 §4.1.1), and the zone without the characters of its name."""
_RECORD_BYTES = 16
"""A TXT record without the characters of its name and value (RFC 1035 §3.2.1)."""
_TSIG_BYTES = 128
"""A TSIG record without the characters of the key's name (RFC 8945 §4.2): a MAC of SHA-512 has 64."""
_BATCH = 50


class Rfc2136Provider:
    """A name server that accepts updates. Safe for many threads: no connection is reused."""

    def __init__(self, config: Rfc2136, *, tsig_secret: str | None, timeout_seconds: float = 5.0) -> None:
        """`tsig_secret` is base64. Raises SecretUnusable when it is not."""
        self._config = config
        self._timeout = timeout_seconds
        self._keyring: _Keyring | None = None
        if tsig_secret is not None and config.tsig_key_name:
            self._keyring = _keyring(config, tsig_secret)

    def present(self, record: TxtRecord) -> None:
        """Add one value."""
        self.present_all((record,))

    def cleanup(self, record: TxtRecord) -> None:
        """Remove one value."""
        self.cleanup_all((record,))

    def present_all(self, records: Sequence[TxtRecord]) -> None:
        """Add values of one zone, with one update for every fifty."""

        def add(update: dns.update.UpdateMessage, record: TxtRecord) -> None:
            update.add(f"{record.name}.", record.ttl_seconds, "TXT", f'"{record.value}"')

        self._update_all(records, add)

    def cleanup_all(self, records: Sequence[TxtRecord]) -> None:
        """Remove values of one zone, with one update for every fifty."""

        def remove(update: dns.update.UpdateMessage, record: TxtRecord) -> None:
            update.delete(f"{record.name}.", "TXT", f'"{record.value}"')

        self._update_all(records, remove)

    def _update_all(
        self, records: Sequence[TxtRecord], change: Callable[[dns.update.UpdateMessage, TxtRecord], None]
    ) -> None:
        for start in range(0, len(records), _BATCH):
            batch = records[start : start + _BATCH]
            update = dns.update.UpdateMessage(f"{batch[0].zone}.", keyring=self._keyring)
            for record in batch:
                change(update, record)
            tcp = self._config.protocol is Protocol.TCP or self._is_too_large(update, batch)
            self._send(update, batch[0].zone, tcp=tcp)

    def _is_too_large(self, update: dns.update.UpdateMessage, batch: Sequence[TxtRecord]) -> bool:
        """Whether the update is too large for UDP. `to_wire` signs the update, and the exchange does that
        again, so it is called only if names and values are long."""
        key = len(self._config.tsig_key_name) + _TSIG_BYTES if self._keyring else 0
        records = sum(len(record.name) + len(record.value) + _RECORD_BYTES for record in batch)
        at_most = _HEADER_BYTES + len(batch[0].zone) + records + key
        return at_most > _MAX_UDP_BYTES and len(update.to_wire()) > _MAX_UDP_BYTES

    def _send(self, update: dns.update.UpdateMessage, zone: str, *, tcp: bool) -> None:
        server = f"the name server {self._config.nameserver}"
        try:
            answer = self._exchange(update, tcp=tcp)
        except (dns.tsig.PeerBadKey, dns.tsig.PeerBadSignature, dns.tsig.BadSignature, dns.tsig.BadKey):
            raise SolverMisconfigured(
                f"{server} does not accept the TSIG key {self._config.tsig_key_name}: see its name, secret "
                "and algorithm on both sides"
            ) from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise SolverMisconfigured(
                f"{server} refuses our TSIG signature's time: set the clocks right"
            ) from None
        except dns.exception.FormError as error:
            # RFC 8945 §5.3: the answer to a signed request is signed, or says which key was bad. dnspython
            # accepts no other answer.
            key = self._config.tsig_key_name
            lack = (
                f"without the signature of the TSIG key {key}: check that it has this key"
                if self._keyring
                else "with something that is not a DNS message"
            )
            raise ProviderUnavailable(f"{server} answers an update of {zone} {lack}") from error
        except dns.exception.Timeout as error:
            raise ProviderUnavailable(f"{server} does not answer updates of {zone}") from error
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise ProviderUnavailable(f"{server} cannot be reached for updates of {zone}") from error
        self._raise_refusal(answer.rcode(), server, zone)

    def _exchange(self, update: dns.update.UpdateMessage, *, tcp: bool) -> dns.message.Message:
        """Send one update. It goes by TCP if it is too large for UDP (RFC 2136 §6.2), or if the answer was.
        Sending it a second time changes nothing."""
        host, port, timeout = self._address(), self._config.port, self._timeout
        if tcp:
            return dns.query.tcp(update, host, port=port, timeout=timeout)
        return dns.query.udp_with_fallback(update, host, port=port, timeout=timeout, ignore_unexpected=True)[
            0
        ]

    def _address(self) -> str:
        try:
            return address_of(self._config.nameserver)
        except OSError as error:
            raise ProviderUnavailable(
                f"the name server {self._config.nameserver} has no address that this machine can find"
            ) from error

    def _raise_refusal(self, rcode: dns.rcode.Rcode, server: str, zone: str) -> None:
        if rcode == dns.rcode.NOERROR:
            return
        text = dns.rcode.to_text(rcode)
        if rcode in (dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE, dns.rcode.NOTIMP):
            key = (
                f"the TSIG key {self._config.tsig_key_name}"
                if self._keyring
                else "updates without a TSIG key"
            )
            raise SolverMisconfigured(
                f"{server} answers {text} to an update of {zone}: let it take updates of this zone with {key}"
            )
        raise ProviderUnavailable(f"{server} answers {text} to an update of {zone}")


def _keyring(config: Rfc2136, tsig_secret: str) -> _Keyring:
    """Return a keyring with one key. The secret is checked first: dnspython would ignore characters that are
    not base64, and sign with the rest."""
    try:
        secret = base64.b64decode("".join(tsig_secret.split()), validate=True)
        name = dns.name.from_text(config.tsig_key_name)
    except (binascii.Error, ValueError):
        raise SecretUnusable(f"the TSIG secret of key {config.tsig_key_name} is not base64") from None
    except dns.exception.DNSException:
        raise SolverMisconfigured(f"the TSIG key name {config.tsig_key_name} is not a DNS name") from None
    if not secret:
        raise SecretUnusable(f"the TSIG secret of key {config.tsig_key_name} is empty")
    return {name: _Key(name, secret, _ALGORITHMS[config.tsig_algorithm])}


class _Key(dns.tsig.Key):
    """A key whose repr hides the secret; dnspython's own repr shows it."""

    def __repr__(self) -> str:
        return f"<TSIG key {self.name}>"
