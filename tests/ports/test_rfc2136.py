"""What only RFC 2136 has: answers that are not signed, cut short, or not of a server that takes updates."""

from __future__ import annotations

import base64
from contextlib import suppress

import dns.rcode
import pytest

from certmill.dns01.base import TxtRecord
from certmill.dns01.providers.rfc2136 import Rfc2136, TsigAlgorithm
from certmill.dns01.providers.rfc2136.update import Rfc2136Provider
from certmill.errors import ProviderUnavailable, SolverMisconfigured
from certmill.testing.nameserver import FakeNameserver

SECRET = base64.b64encode(b"the TSIG secret of this very test").decode()
RECORD = TxtRecord(name="_acme-challenge.example.test", value="v", zone="example.test")
_UPDATE_ANSWER, _TRUNCATED = 0xA8_00, 0x02_00


class Liar(FakeNameserver):
    """Answers every update with one rcode, unsigned; with `cut`, by UDP only that the answer is too large."""

    def __init__(self, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, *, cut: bool = False) -> None:
        super().__init__()
        self.rcode, self.cut = rcode, cut
        self.updates: list[str] = []
        self.sizes: list[int] = []

    def answer(self, wire: bytes, *, udp: bool) -> bytes | None:
        self.updates.append("UDP" if udp else "TCP")
        self.sizes.append(len(wire))
        flags = _UPDATE_ANSWER | self.rcode | (_TRUNCATED if self.cut and udp else 0)
        return wire[:2] + flags.to_bytes(2) + bytes(8)


def provider(server, *, signed, algorithm=TsigAlgorithm.HMACSHA256):
    key = {"tsig_key_name": "certmill", "tsig_algorithm": algorithm} if signed else {}
    return Rfc2136Provider(
        Rfc2136(nameserver="127.0.0.1", port=server.port, **key),
        tsig_secret=SECRET if signed else None,
        timeout_seconds=1,
    )


def test_an_answer_without_the_signature_it_owes_is_not_believed():
    with (
        Liar() as server,
        pytest.raises(ProviderUnavailable, match="without the signature of the TSIG key certmill"),
    ):
        provider(server, signed=True).present(RECORD)


def test_an_unsigned_update_needs_no_signed_answer():
    with Liar() as server:
        provider(server, signed=False).present(RECORD)

        assert server.updates == ["UDP"]


def test_an_answer_that_is_cut_short_is_asked_for_again_by_tcp():
    with Liar(cut=True) as server:
        provider(server, signed=False).present(RECORD)

        assert server.updates == ["UDP", "TCP"]


@pytest.mark.parametrize("algorithm", [None, TsigAlgorithm.HMACMD5, TsigAlgorithm.HMACSHA512])
def test_an_update_goes_by_udp_if_it_has_at_most_512_bytes(algorithm):
    values = [letter * 255 for letter in "ab"]
    with Liar() as server:
        rfc2136 = provider(server, signed=algorithm is not None, algorithm=algorithm)
        for length in range(1, 510):
            records = [
                TxtRecord(name=RECORD.name, value=value[: max(1, length - start)], zone=RECORD.zone)
                for start, value in zip((0, 255), values, strict=True)
                if length > start
            ]
            with suppress(ProviderUnavailable):  # the answer has no signature
                rfc2136.present_all(records)

    assert server.updates == ["UDP" if size <= 512 else "TCP" for size in server.sizes]
    assert min(server.sizes) < 512 < max(server.sizes)
    assert len(server.sizes) == 509


@pytest.mark.parametrize("rcode", ["REFUSED", "NOTAUTH", "NOTZONE", "NOTIMP"])
def test_a_server_that_does_not_take_our_updates_is_a_configuration_error(rcode):
    with (
        Liar(dns.rcode.from_text(rcode)) as server,
        pytest.raises(SolverMisconfigured, match=f"answers {rcode} to an update of example.test"),
    ):
        provider(server, signed=False).cleanup(RECORD)


@pytest.mark.parametrize("rcode", ["SERVFAIL", "FORMERR"])
def test_a_server_in_trouble_is_temporary(rcode):
    with (
        Liar(dns.rcode.from_text(rcode)) as server,
        pytest.raises(ProviderUnavailable, match=f"answers {rcode} to an update"),
    ):
        provider(server, signed=False).present(RECORD)


def test_the_secret_is_in_no_repr():
    one = provider(FakeNameserver(), signed=True)

    shown = f"{one!r} {vars(one)!r} {list((one._keyring or {}).values())!r}"

    assert "certmill" in shown
    assert SECRET not in shown
