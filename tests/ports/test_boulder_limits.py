"""Boulder's own limiter refuses where Let's Encrypt documents it, and certmill's buckets know it."""

from __future__ import annotations

import pytest

from certmill.budgets.buckets import Account, exact_set
from certmill.budgets.profiles import LETS_ENCRYPT
from certmill.budgets.refusals import named_in
from certmill.model.names import Identifier, IdentifierType
from certmill.model.rate_limit import LimitName
from compose.servers import ServerFailed
from compose.servers.boulder_limits import BoulderLimits, CaRequest, Event

NOW = 1_800_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
OURS = Account(server="https://ca.example/dir", uri="https://ca.example/acct/1", limits=LETS_ENCRYPT)


@pytest.fixture
def boulder(boulder_program):
    with BoulderLimits() as limiter:
        yield limiter


def dns(*names):
    return [Identifier(type=IdentifierType.DNS, value=name) for name in names]


def ask(boulder, event, *names, at=NOW, account=1, ari=False):
    (answer,) = boulder.ask([CaRequest(at=at, event=event, names=names, account=account, ari=ari)])
    return answer


def issue(boulder, *names, at=NOW, times=1):
    for _ in range(times):
        assert ask(boulder, Event.ORDER, *names, at=at) is None
        ask(boulder, Event.ISSUE, *names, at=at)


def the_bucket_that_ours_find(limited, *names):
    buckets = OURS.new_order(dns(*names), same_set=False).checked
    return named_in(limited.text, buckets)


def test_the_301st_order_in_3_hours_is_refused_for_36_seconds(boulder):
    orders = [CaRequest(at=NOW, event=Event.ORDER, names=[f"{n}.site-{n}.example"]) for n in range(301)]

    *granted, last = boulder.ask(orders)

    assert granted == [None] * 300
    assert 36 <= last.retry_after <= 36 * 1.03
    assert the_bucket_that_ours_find(last, "300.site-300.example").name == LimitName.NEW_ORDERS
    assert ask(boulder, Event.ORDER, "other.example", account=2) is None
    assert ask(boulder, Event.ORDER, "later.example", at=NOW + 36) is None


def test_the_6th_certificate_of_a_set_in_7_days_is_refused_at_its_order(boulder):
    issue(boulder, "a.example", "b.example", times=5)

    limited = ask(boulder, Event.ORDER, "B.example", "a.example")

    assert limited.retry_after == pytest.approx(7 * DAY / 5, rel=0.03)
    bucket = the_bucket_that_ours_find(limited, "a.example", "b.example")
    assert bucket.name == LimitName.CERTIFICATES_PER_SET
    assert bucket.subject == exact_set(dns("a.example", "b.example"))


def test_the_51st_new_set_of_a_registered_domain_is_refused(boulder):
    for number in range(50):
        issue(boulder, f"{number}.a.co.uk")

    limited = ask(boulder, Event.ORDER, "new.a.co.uk")

    assert limited.retry_after == pytest.approx(7 * DAY / 50, rel=0.03)
    assert the_bucket_that_ours_find(limited, "new.a.co.uk").subject == "a.co.uk"
    assert ask(boulder, Event.ORDER, "7.a.co.uk") is None  # the same set again


def test_a_set_is_exempt_for_120_days(boulder):
    ask(boulder, Event.KNOWN, "old.a.example", at=NOW - 119 * DAY)
    ask(boulder, Event.KNOWN, "older.a.example", at=NOW - 121 * DAY)
    for number in range(50):
        issue(boulder, f"{number}.a.example")

    assert ask(boulder, Event.ORDER, "old.a.example") is None
    assert ask(boulder, Event.ORDER, "older.a.example") is not None


def test_an_order_inside_its_ari_window_is_not_limited_but_spends(boulder):
    issue(boulder, "a.example", times=5)

    assert ask(boulder, Event.ORDER, "a.example", ari=True) is None
    assert ask(boulder, Event.ORDER, "a.example") is not None


def test_the_6th_failure_of_a_name_in_an_hour_is_refused(boulder):
    for _ in range(5):
        ask(boulder, Event.FAIL, "a.example")

    limited = ask(boulder, Event.ORDER, "a.example", "b.example")

    assert limited.retry_after == pytest.approx(12 * MINUTE, rel=0.03)
    assert the_bucket_that_ours_find(limited, "a.example", "b.example").subject == "a.example"
    assert ask(boulder, Event.ORDER, "a.example", at=NOW + 12 * MINUTE) is None


def test_a_name_is_paused_after_1152_failures_in_a_row(boulder):
    failures = [CaRequest(at=NOW, event=Event.FAIL, names=["a.example"])] * 1152
    boulder.ask([*failures, CaRequest(at=NOW, event=Event.VALID, names=["a.example"]), *failures])
    assert ask(boulder, Event.ORDER, "a.example", at=NOW + HOUR) is None

    ask(boulder, Event.FAIL, "a.example", at=NOW + HOUR)

    assert ask(boulder, Event.ORDER, "a.example", at=NOW + 2 * HOUR).retry_after == 0


def test_an_order_that_was_not_created_is_given_back(boulder):
    orders = [CaRequest(at=NOW, event=Event.ORDER, names=[f"{n}.site-{n}.example"]) for n in range(300)]
    boulder.ask(orders)

    ask(boulder, Event.REFUND, "0.site-0.example")

    assert ask(boulder, Event.ORDER, "new.example") is None
    assert ask(boulder, Event.ORDER, "newer.example") is not None


def test_a_program_that_ends_says_why(boulder):
    too_many = CaRequest(at=NOW, event=Event.ORDER, names=[f"{n}.a.example" for n in range(101)])

    with pytest.raises(ServerFailed, match="unwilling to process more than 100"):
        boulder.ask([too_many])
