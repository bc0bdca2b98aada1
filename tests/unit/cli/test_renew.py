"""When each of many renewals begins."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.cli.commands.renew import AT_ONCE, default_seconds, spread
from certmill.model.names import CertificateId

BEGIN = 1_800_000_000.0


@given(count=st.integers(1, 300), seconds=st.floats(1, 1e6))
def test_renewals_are_spread_evenly_over_the_whole_time(count, seconds):
    chosen = [CertificateId(f"default/c{number}") for number in range(count)]

    times = spread(chosen, begin=BEGIN, seconds=seconds)

    assert set(times) == set(chosen)
    at = sorted(times.values())
    assert at[0] == BEGIN
    gaps = [after - before for before, after in itertools.pairwise(at)]
    assert gaps == pytest.approx([seconds / (count - 1)] * len(gaps) if gaps else [], abs=1e-3)


def test_certificates_with_neighbouring_names_are_not_renewed_in_a_row():
    chosen = [CertificateId(f"default/{domain}{number}") for domain in "ab" for number in range(50)]

    times = spread(chosen, begin=BEGIN, seconds=100.0)

    in_turn = [one.split("/")[1][0] for one in sorted(times, key=times.__getitem__)]
    assert max(len(list(same)) for _, same in itertools.groupby(in_turn)) < 12


def test_a_few_are_renewed_at_once_and_many_within_a_day():
    assert default_seconds(AT_ONCE) == 0
    assert default_seconds(AT_ONCE + 1) == 126
    assert default_seconds(1000) == 6000
    assert default_seconds(1_000_000) == 86_400
