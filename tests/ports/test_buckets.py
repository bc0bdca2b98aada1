"""Token buckets on a real Redis, against a model of Boulder's limiter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certmill.budgets.buckets import Bucket, Purchase
from certmill.model.rate_limit import RateLimit
from certmill.state import keys
from certmill.state.buckets import LAST_RANK, Buckets, Caller, Empty, Taken

NOW = 1_800_000_000.0
ORDERS = Bucket(name="orders", scope="account 1", subject="", limit=RateLimit(count=3, seconds=300))
DOMAIN = Bucket(name="domain", scope="ca", subject="example.com", limit=RateLimit(count=2, seconds=2000))
INTERVAL = ORDERS.limit.interval
ONE_ORDER = Purchase(checked=(ORDERS,), spent=(ORDERS,))


@pytest.fixture
def buckets(redis):
    return Buckets(redis)


def a_renewal(name, *, expires=NOW):
    return Caller(id=f"default/{name}", rank=expires)


def a_new_name(name, *, domain="example.com"):
    return Caller(id=f"default/{name}", rank=None, group=domain)


def take(buckets, caller, *, at=NOW, purchase=ONE_ORDER, receipt=None):
    taken = buckets.take(purchase, caller, receipt=receipt or f"{caller.id} {at}", now=at)
    return None if isinstance(taken, Taken) else taken


def drain(buckets, *, at=NOW, count=3):
    for number in range(count):
        assert take(buckets, a_new_name(f"before-{number}"), at=at) is None


def waited(empty):
    assert isinstance(empty, Empty)
    return empty.seconds


def test_a_bucket_gives_its_tokens_at_once_and_then_one_each_interval(buckets):
    drain(buckets)

    late = ORDERS.lateness
    assert waited(take(buckets, a_new_name("a"))) == pytest.approx(INTERVAL + late)
    assert take(buckets, a_new_name("a"), at=NOW + INTERVAL + late) is None
    assert waited(take(buckets, a_new_name("b"), at=NOW + INTERVAL + late)) == pytest.approx(INTERVAL)


def test_a_caller_learns_how_many_tokens_are_left(buckets):
    both = Purchase(checked=(ORDERS, DOMAIN), spent=(ORDERS,))
    left = []
    for number in range(4):
        taken = buckets.take(both, a_new_name("a"), receipt=f"{number}", now=NOW + number * 200)
        left.append([taken.left[bucket.id] for bucket in (ORDERS, DOMAIN)])
        if number == 1:
            buckets.spend([DOMAIN], receipt="a certificate", now=NOW)

    assert left == [[2, 2], [2, 2], [2, 1], [2, 1]]
    assert buckets.take(both, a_new_name("a"), receipt="3", now=NOW + 600) == Taken(left={})


@pytest.mark.parametrize("later", [0, 14, 16, 99, 100, 116, 214, 216, 1000])
def test_what_is_left_is_what_a_caller_gets(buckets, later):
    drain(buckets)

    left = buckets.left([ORDERS, DOMAIN], now=NOW + later)

    assert left[DOMAIN.id] == DOMAIN.limit.count
    got = [take(buckets, a_new_name("a"), at=NOW + later, receipt=f"{number}") for number in range(4)]
    assert got.count(None) == left[ORDERS.id]


def test_all_buckets_must_have_a_token_or_none_is_spent(buckets):
    both = Purchase(checked=(ORDERS, DOMAIN), spent=(ORDERS,))
    buckets.spend([DOMAIN], receipt="1", now=NOW)
    buckets.spend([DOMAIN], receipt="2", now=NOW)

    empty = take(buckets, a_new_name("a"), purchase=both)

    assert empty is not None
    assert empty.bucket == DOMAIN
    assert empty.seconds == pytest.approx(1000 + DOMAIN.lateness)
    drain(buckets)


def test_a_bucket_that_is_only_checked_keeps_its_tokens(buckets):
    for number in range(5):
        checked = Purchase(checked=(DOMAIN,), spent=())
        assert take(buckets, a_new_name(f"{number}"), purchase=checked) is None


def test_the_same_receipt_spends_once(buckets):
    for _ in range(5):
        assert take(buckets, a_new_name("a"), receipt="the order of a") is None
        buckets.spend([DOMAIN], receipt="the certificate of a", now=NOW)

    drain(buckets, count=2)
    assert take(buckets, a_new_name("b")) is not None
    assert take(buckets, a_new_name("b"), purchase=Purchase(checked=(DOMAIN,), spent=())) is None


def test_a_refund_gives_back_once_what_was_spent(buckets):
    assert take(buckets, a_new_name("a"), receipt="the order of a") is None
    for _ in range(5):
        buckets.refund([ORDERS], receipt="the order of a", now=NOW)
        buckets.refund([ORDERS], receipt="an order that was never made", now=NOW)

    drain(buckets)
    assert take(buckets, a_new_name("b")) is not None


def test_after_a_refund_the_same_receipt_spends_again(buckets):
    assert take(buckets, a_new_name("a"), receipt="the order of a") is None
    buckets.refund([ORDERS], receipt="the order of a", now=NOW)

    assert take(buckets, a_new_name("a"), receipt="the order of a") is None
    drain(buckets, count=2)
    assert take(buckets, a_new_name("b")) is not None


@pytest.mark.parametrize("seconds", [10.0, INTERVAL * 50])
def test_a_bucket_that_the_ca_says_is_empty_opens_at_its_time(buckets, seconds):
    buckets.empty(ORDERS, seconds=seconds, now=NOW)

    assert waited(take(buckets, a_new_name("a"))) == pytest.approx(seconds)
    assert take(buckets, a_new_name("a"), at=NOW + seconds) is None
    assert take(buckets, a_new_name("b"), at=NOW + seconds + 1) is not None


def test_a_spend_without_a_check_leaves_an_empty_bucket_empty(buckets):
    for number in range(20):
        buckets.spend([ORDERS], receipt=f"{number}", now=NOW)

    assert waited(take(buckets, a_new_name("a"))) == pytest.approx(INTERVAL + ORDERS.lateness)


def test_a_filled_bucket_has_all_its_tokens(buckets):
    drain(buckets)

    buckets.fill([ORDERS], now=NOW)

    drain(buckets, at=NOW + 1)


def test_renewals_are_served_by_their_expiry_and_before_new_names(buckets):
    drain(buckets)
    asked = [
        a_new_name("new"),
        a_renewal("later", expires=NOW + 2000),
        a_renewal("soon", expires=NOW + 1000),
        a_renewal("expired", expires=NOW - 5),
    ]
    for caller in asked:
        assert take(buckets, caller) is not None

    assert served(buckets, asked) == ["expired", "soon", "later", "new"]


def test_registered_domains_of_new_names_take_turns(buckets):
    drain(buckets)
    many = [a_new_name(f"a-many-{number}", domain="many.test") for number in range(4)]
    few = [a_new_name(f"b-few-{number}", domain="few.test") for number in range(2)]
    for caller in (*many, *few):
        assert take(buckets, caller) is not None

    order = served(buckets, [*many, *few])

    assert sorted(order[:2]) == ["a-many-0", "b-few-0"]
    assert sorted(order[2:4]) == ["a-many-1", "b-few-1"]
    assert order[4:] == ["a-many-2", "a-many-3"]


def test_names_that_keep_failing_are_served_last(buckets):
    drain(buckets)
    dead = [Caller(id=f"default/dead-{failures}", rank=LAST_RANK + failures) for failures in (3, 9)]
    asked = [*dead, a_new_name("new"), a_renewal("renewal"), a_new_name("other", domain="other.test")]
    for caller in asked:
        assert take(buckets, caller) is not None

    assert served(buckets, asked) == ["renewal", "new", "other", "dead-3", "dead-9"]


def served(buckets, callers):
    """The names in the order in which they get a token, if all ask at each interval, the last one first."""
    left, order = list(reversed(callers)), []
    at = NOW + ORDERS.lateness
    while left:
        at += INTERVAL
        got = [caller for caller in left if take(buckets, caller, at=at) is None]
        assert len(got) <= 1
        left = [caller for caller in left if caller not in got]
        order += [caller.id.removeprefix("default/") for caller in got]
        assert at < NOW + 100 * INTERVAL
    return order


def test_a_place_in_the_queue_has_its_own_time(buckets):
    drain(buckets)

    waits = [waited(take(buckets, a_renewal(f"{number}", expires=NOW + number))) for number in range(5)]

    assert waits == pytest.approx([(number + 1) * INTERVAL + ORDERS.lateness for number in range(5)])


def test_a_caller_far_behind_asks_again_before_its_turn(buckets):
    drain(buckets)
    waits = [waited(take(buckets, a_renewal(f"{number:03}", expires=NOW + number))) for number in range(100)]

    assert waits[99] == pytest.approx((100 * INTERVAL + ORDERS.lateness) / 2)


def test_a_caller_that_does_not_come_back_does_not_hold_up_the_others(buckets):
    domain = Purchase(checked=(DOMAIN,), spent=(DOMAIN,))
    for number in range(2):
        assert take(buckets, a_new_name(f"{number}"), purchase=domain) is None
    gone, next_one = a_renewal("gone", expires=NOW - 1), a_renewal("next")
    back = NOW + waited(take(buckets, gone, purchase=domain))
    assert take(buckets, next_one, purchase=domain) is not None

    assert take(buckets, next_one, at=back + 119, purchase=domain) is not None
    assert take(buckets, next_one, at=back + 121, purchase=domain) is None


def test_a_caller_keeps_its_turn_in_one_queue_only(buckets, redis):
    both = Purchase(checked=(ORDERS, DOMAIN), spent=(ORDERS,))
    drain(buckets)
    assert take(buckets, a_new_name("a"), purchase=both) is not None
    for number in range(2):
        buckets.spend([DOMAIN], receipt=f"{number}", now=NOW)

    assert take(buckets, a_new_name("a"), purchase=both) is not None

    assert redis.zcard(f"{keys.bucket(ORDERS.id)}:queue") == 0
    assert redis.zrange(f"{keys.bucket(DOMAIN.id)}:queue", 0, -1) == ["default/a"]


def test_each_key_expires_and_a_queue_leaves_nothing(buckets, redis):
    drain(buckets)
    assert take(buckets, a_new_name("a")) is not None
    found = redis.keys("certmill:*")
    assert found
    assert all(redis.pttl(key) > 0 for key in found)

    assert take(buckets, a_new_name("a"), at=NOW + 10 * INTERVAL) is None

    assert not [key for key in redis.keys("certmill:bucket:*") if key.count(":") > 3]


def test_a_clock_that_was_a_day_ahead_makes_no_pause_of_a_day(buckets):
    drain(buckets, at=NOW + 86_400)

    assert waited(take(buckets, a_new_name("a"))) <= INTERVAL + ORDERS.lateness


class Boulder:
    """The token bucket of Boulder as a log of what it counted: tokens come back one each interval."""

    def __init__(self, limit):
        self.limit, self.counted = limit, []

    def tokens(self, at):
        have, last = float(self.limit.count), 0.0
        for moment in self.counted:
            have = min(self.limit.count, have + (moment - last) / self.limit.interval) - 1
            last = moment
        return min(self.limit.count, have + (at - last) / self.limit.interval)

    def counts(self, at):
        self.counted.append(max([at, *self.counted[-1:]]))


EVENTS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=400).map(lambda seconds: round(seconds, 3)),
        st.sampled_from(["order", "again", "refused", "lost"]),
        st.floats(min_value=0, max_value=0.9),
    ),
    max_size=30,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_the_ca_never_refuses_and_no_token_stays_unused(redis, events):
    """Orders come at any time. Each can be tried twice, be refused by the CA, or have a request that the CA
    counts late."""
    redis.flushdb()
    buckets, ca, now = Buckets(redis), Boulder(ORDERS.limit), NOW
    for number, (later, fate, delay) in enumerate(events):
        now += later
        arrives = now + delay * ORDERS.lateness
        receipt = f"order {number}"
        known = ca.tokens(now)
        empty = take(buckets, a_renewal(f"{number}", expires=now + number), at=now, receipt=receipt)
        if empty is not None:
            assert known < 1 + 2 * ORDERS.lateness / INTERVAL
            assert take(buckets, a_renewal(f"{number}"), at=now + empty.seconds + 0.001, receipt="x") is None
            buckets.refund([ORDERS], receipt="x", now=now + empty.seconds + 0.001)
            continue
        assert ca.tokens(arrives) >= 1 - 1e-4
        if fate == "refused":
            buckets.refund([ORDERS], receipt=receipt, now=now)
            continue
        ca.counts(arrives)
        if fate == "again":
            assert take(buckets, a_renewal(f"{number}"), at=now, receipt=receipt) is None
        now = max(now, arrives)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "spend", "refund"]),
        st.integers(min_value=0, max_value=6),
        st.integers(min_value=1, max_value=3),
    ),
    max_size=40,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_each_receipt_counts_once_in_any_order_of_repetitions(redis, operations):
    """A step that dies and runs again repeats its operations; others come between."""
    redis.flushdb()
    buckets, spent = Buckets(redis), set()
    for operation, number, times in operations:
        receipt = f"receipt {number}"
        for _ in range(times):
            if operation == "take":
                may = receipt in spent or len(spent) < ORDERS.limit.count
                assert (take(buckets, a_renewal("one"), receipt=receipt) is None) == may
                spent |= {receipt} if may else set()
            elif operation == "refund":
                buckets.refund([ORDERS], receipt=receipt, now=NOW)
                spent.discard(receipt)
            elif receipt in spent or len(spent) < ORDERS.limit.count:
                buckets.spend([ORDERS], receipt=receipt, now=NOW)
                spent.add(receipt)

    checked = Purchase(checked=(ORDERS,), spent=())
    left = buckets.take(checked, a_renewal("one"), receipt="last", now=NOW)
    assert (left.left[ORDERS.id] if isinstance(left, Taken) else 0) == ORDERS.limit.count - len(spent)


def test_a_limit_of_one_token_is_used_at_each_interval(buckets):
    one = replace(ORDERS, limit=RateLimit(count=1, seconds=100))
    purchase = Purchase(checked=(one,), spent=(one,))

    served, waiting = a_new_name("a"), a_new_name("b")
    for number in range(5):
        at = NOW + number * (100 + one.lateness)
        assert take(buckets, served, at=at, purchase=purchase) is None
        assert take(buckets, waiting, at=at, purchase=purchase) is not None
        served, waiting = waiting, served
