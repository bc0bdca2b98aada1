"""What is slow holds some threads, and never all of them."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from certmill.errors import Busy
from certmill.runs.concurrency import SLOW_SECONDS, NamespaceLimit, SlowLookups


@pytest.fixture
def held():
    with ExitStack() as held:
        yield held


def test_slow_names_of_one_namespace_take_half_of_the_threads_and_leave_the_others(held):
    slow_lookups = SlowLookups(4)
    for _ in range(2):
        held.enter_context(slow_lookups.slow("one"))

    with pytest.raises(Busy, match="of the namespace one do not answer"), slow_lookups.slow("one"):
        pass
    for _ in range(2):
        held.enter_context(slow_lookups.slow("two"))
    with pytest.raises(Busy, match="many other names do not answer"), slow_lookups.slow("three"):
        pass


def test_a_thread_that_is_released_is_free_again():
    slow_lookups = SlowLookups(2)

    for _ in range(3):
        with slow_lookups.slow("one"):
            pass


class TestIssuersOfANamespace:
    @pytest.fixture
    def now(self):
        return [0.0]

    @pytest.fixture
    def namespace_limit(self, now):
        return NamespaceLimit(8, monotonic=lambda: now[0])

    def test_slow_ones_hold_half_of_the_threads_when_nobody_else_needs_them(self, namespace_limit, now, held):
        for _ in range(4):
            held.enter_context(namespace_limit.of("one"))
        now[0] = SLOW_SECONDS

        with pytest.raises(Busy, match="issuers in namespace one are slow"), namespace_limit.of("one"):
            pass
        with namespace_limit.of("two"), namespace_limit.of(""):
            pass

    def test_slow_ones_get_no_more_than_a_quarter_while_others_use_the_rest(self, namespace_limit, now, held):
        for namespace in ("one", "one", "two", "", ""):
            held.enter_context(namespace_limit.of(namespace))
        now[0] = SLOW_SECONDS

        with pytest.raises(Busy, match="issuers in namespace one are slow"), namespace_limit.of("one"):
            pass
        with namespace_limit.of("two"), namespace_limit.of("three"), namespace_limit.of(""):
            pass

    def test_quick_ones_leave_a_quarter_to_others(self, namespace_limit, held):
        for _ in range(6):
            held.enter_context(namespace_limit.of("one"))

        with pytest.raises(Busy), namespace_limit.of("one"):
            pass
        with namespace_limit.of("two"):
            pass

    def test_cluster_issuers_have_no_bound(self, namespace_limit, now, held):
        for _ in range(20):
            held.enter_context(namespace_limit.of(""))
            now[0] += SLOW_SECONDS

    def test_those_that_have_ended_count_no_more(self, namespace_limit):
        for _ in range(20):
            with namespace_limit.of("one"):
                pass
