"""BIND as tests, demo and benchmark use it."""

from __future__ import annotations

import base64

from certmill.dns01.base import TxtRecord
from certmill.dns01.providers.rfc2136 import Rfc2136, TsigAlgorithm
from certmill.dns01.providers.rfc2136.update import Rfc2136Provider
from certmill.dns01.resolver import Resolver
from compose.servers.bind import Bind

SECRET = base64.b64encode(b"a TSIG secret of thirty-two bytes").decode()


def test_values_and_port_stay_over_a_stop_and_a_start(tmp_path):
    with Bind(
        directory=tmp_path,
        zones=("example.test", "dev.example.test"),
        tsig={"certmill": ("hmac-sha256", SECRET)},
    ) as bind:
        address = bind.address
        config = Rfc2136(
            nameserver="127.0.0.1",
            port=bind.port,
            tsig_key_name="certmill",
            tsig_algorithm=TsigAlgorithm.HMACSHA256,
        )
        names = {f"_acme-challenge.{zone}": zone for zone in bind.zones}
        for name, zone in names.items():
            Rfc2136Provider(config, tsig_secret=SECRET).present(TxtRecord(name=name, value="v", zone=zone))

        bind.stop()
        bind.start()

        assert bind.address == address
        assert {name: bind.txt(name) for name in names} == {name: {"v"} for name in names}


def test_every_value_at_a_name_is_shown_however_many_there_are(tmp_path):
    with Bind(directory=tmp_path, tsig={"certmill": ("hmac-sha256", SECRET)}) as bind:
        config = Rfc2136(
            nameserver="127.0.0.1",
            port=bind.port,
            tsig_key_name="certmill",
            tsig_algorithm=TsigAlgorithm.HMACSHA256,
        )
        values = {f"{number:043}" for number in range(60)}
        records = [
            TxtRecord(name="_acme-challenge.example.test", value=value, zone="example.test")
            for value in values
        ]

        Rfc2136Provider(config, tsig_secret=SECRET).present_all(records)

        assert bind.txt("_acme-challenge.example.test") == values


def test_every_name_of_every_zone_is_on_loopback(tmp_path):
    with Bind(directory=tmp_path, zones=("example.test", "dev.example.test")) as bind:
        resolver = Resolver([bind.address])

        assert [
            resolver.find_addresses(name)
            for name in ("example.test", "www.example.test", "a.b.dev.example.test")
        ] == [["127.0.0.1"]] * 3
