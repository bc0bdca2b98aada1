"""The self checks ask a solver's own name servers, and nobody else, where it has some."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from certmill.clock import SystemClock
from certmill.dns01.providers.cloudflare import Cloudflare
from certmill.model.issuer import Dns01Solver, SecretKeyRef
from certmill.runtime.self_checks import SelfChecks
from certmill.settings import load
from certmill.testing.nameserver import FakeNameserver

NAME = "_acme-challenge.web.example.test"
SOA = "ns1.example.test. admin.example.test. 1 3600 600 86400 60"
PROVIDER = Cloudflare(api_token=SecretKeyRef(name="cf", key="token"))


def a_server(value: str) -> FakeNameserver:
    records = {
        "example.test": {"SOA": [SOA], "NS": ["ns1.example.test."]},
        "ns1.example.test": {"A": ["127.0.0.1"]},
        NAME: {"TXT": [f'"{value}"']},
    }
    return FakeNameserver(records=records)


@pytest.fixture
def ours() -> Iterator[FakeNameserver]:
    """The server of the settings, and the zone's own."""
    with a_server("of the settings") as server:
        yield server


@pytest.fixture
def theirs() -> Iterator[FakeNameserver]:
    """The solver's server."""
    with a_server("of the solver") as server:
        yield server


@pytest.fixture
def checks(ours: FakeNameserver) -> SelfChecks:
    return SelfChecks(load(recursive_nameservers=ours.address, authoritative_port=ours.port), SystemClock())


def test_a_solver_with_its_own_name_servers_has_only_them_asked(
    ours: FakeNameserver, theirs: FakeNameserver, checks: SelfChecks
) -> None:
    solver = Dns01Solver(provider=PROVIDER, nameservers=(theirs.address,))

    assert checks.zones(solver).zone_of(NAME) == "example.test"
    assert checks.zones(solver).follow_cnames(NAME) == NAME
    assert checks.visible(NAME, "of the solver", "example.test", solver, timeout_seconds=3).visible
    assert not checks.visible(NAME, "of the settings", "example.test", solver, timeout_seconds=3).visible
    assert {type_ for _, type_ in theirs.asked} == {"SOA", "CNAME", "TXT"}
    assert ours.asked == []


def test_a_solver_without_name_servers_has_those_of_the_settings_asked(
    ours: FakeNameserver, theirs: FakeNameserver, checks: SelfChecks
) -> None:
    solver = Dns01Solver(provider=PROVIDER)

    assert checks.zones(solver).zone_of(NAME) == "example.test"
    assert checks.visible(NAME, "of the settings", "example.test", solver, timeout_seconds=3).visible
    assert {"SOA", "NS", "TXT"} <= {type_ for _, type_ in ours.asked}
    assert theirs.asked == []
