from __future__ import annotations

import threading

import pytest

from certmill.acme.nonces import MAX_AGE_SECONDS, NoncePool, NoncePools
from certmill.testing.clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def pool(clock):
    return NoncePool(clock)


def test_an_empty_pool_has_none(pool):
    assert pool.take() is None


def test_a_nonce_is_handed_out_once(pool):
    pool.put("one")

    assert (pool.take(), pool.take()) == ("one", None)


def test_the_newest_comes_first(pool):
    for nonce in ("one", "two", "three"):
        pool.put(nonce)

    assert [pool.take(), pool.take(), pool.take()] == ["three", "two", "one"]


def test_an_old_nonce_is_thrown_away_with_all_that_are_older(pool, clock):
    pool.put("one")
    pool.put("two")

    clock.advance(MAX_AGE_SECONDS + 1)

    assert pool.take() is None
    assert len(pool) == 0


def test_a_young_nonce_above_an_old_one_is_used(pool, clock):
    pool.put("old")
    clock.advance(MAX_AGE_SECONDS + 1)
    pool.put("young")

    assert (pool.take(), pool.take()) == ("young", None)


@pytest.mark.parametrize("text", [None, "", "a b", 'a"b', "ä", "x" * 257, "a\nb"])
def test_what_is_no_nonce_is_not_kept(pool, text):
    pool.put(text)

    assert len(pool) == 0


def test_the_pool_is_bounded_and_forgets_the_oldest(pool):
    for number in range(1000):
        pool.put(str(number))

    assert len(pool) <= 256
    assert pool.take() == "999"


def test_no_nonce_is_handed_out_twice_to_many_threads(pool):
    for number in range(200):
        pool.put(str(number))
    taken = []

    def take():
        while (nonce := pool.take()) is not None:
            taken.append(nonce)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 200


def test_each_ca_has_its_own_pool():
    pools = NoncePools(FakeClock())

    pools.pool("https://a.example/dir").put("a")

    assert pools.pool("https://b.example/dir").take() is None
    assert pools.pool("https://a.example/dir").take() == "a"
