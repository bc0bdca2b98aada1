"""Renewal information of the CA decides when a certificate is renewed: requested when due, of the CA that
issued it, kept by certificate, and never in the way of a renewal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certmill.acme.ari import RenewalInfo
from certmill.errors import CAUnavailable, OrderRefused
from certmill.model.ari import AriStatus
from certmill.state import keys
from tests.support.builders import DAY, NOW, a_certificate, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()
HOUR = 3600.0
WINDOW = RenewalInfo(start=NOW + 50 * DAY, end=NOW + 51 * DAY, retry_after=6 * HOUR)
REVOKED = RenewalInfo(
    start=NOW + 2 * DAY - HOUR, end=NOW + 2 * DAY - 1800, explanation_url="https://ca.test/why"
)


@pytest.fixture
def mill(redis):
    mill = Mill(redis)
    mill.world.ca.trouble.renewal_info = WINDOW
    mill.issue()
    return mill


def check(mill, *, after=2 * HOUR):
    """Let time pass, and run the tick; the number of requests."""
    mill.world.clock.advance(after)
    return mill.ticks.check_ari()


def renewal_score(redis):
    return redis.zscore(keys.RENEWALS, WEB.id)


def test_a_new_pair_is_checked_within_two_hours_and_its_renewal_is_moved(mill, redis):
    assert check(mill) == 1

    found = mill.status()
    assert found.ari == AriStatus(
        cert_id=mill.world.leaf(WEB).cert_id,
        start=WINDOW.start,
        end=WINDOW.end,
        last_checked=NOW + 2 * HOUR,
        next_check=NOW + 8 * HOUR,
    )
    assert WINDOW.start <= found.renewal_time < WINDOW.end
    assert renewal_score(redis) == pytest.approx(found.renewal_time)
    assert mill.world.ca.renewal_infos == [found.ari.cert_id]


def test_a_request_waits_for_retry_after(mill):
    check(mill)

    assert check(mill, after=6 * HOUR - 1) == 0
    assert check(mill, after=1) == 1


def test_a_ca_without_renewal_information_is_not_asked_again(redis):
    mill = Mill(redis)
    mill.issue()

    assert check(mill) == 1
    assert check(mill, after=DAY) == 0
    assert mill.status().ari is None
    assert mill.world.ca.renewal_infos == []


def test_the_renewal_begins_at_its_instant_and_the_window_does_not_outlive_the_pair(mill, redis):
    check(mill)
    first = mill.world.leaf(WEB)
    mill.world.clock.advance(renewal_score(redis) - mill.world.clock.now())

    mill.ticks.renew()
    mill.run()

    assert mill.world.leaf(WEB).serial != first.serial
    assert mill.status().ari is None
    assert mill.status().renewal_time > WINDOW.end + 30 * DAY


def test_a_window_that_moves_into_the_past_renews_at_the_next_check(mill):
    check(mill)
    mill.world.ca.trouble.renewal_info = REVOKED

    check(mill, after=2 * DAY)

    issuing = mill.status().condition("Issuing")
    assert (issuing.status, issuing.reason) == (True, "Renewing")
    assert "ARI window of the CA is in the past" in issuing.message
    assert mill.status().condition("Ready").status
    mill.run()
    assert mill.status().revision == 2


def test_a_ca_that_suggests_the_past_for_each_pair_gets_an_order_an_hour(mill):
    mill.world.ca.trouble.renewal_info = REVOKED
    mill.world.clock.advance(2 * DAY)

    for _ in range(6 * 60):
        mill.world.clock.advance(60)
        mill.ticks.check_ari()
        mill.ticks.renew()
        for wake_up in mill.ticks.wake().wake_ups:
            mill.run(wake_up.step)

    assert 3 <= len(mill.world.ca.ordered) <= 8


@pytest.mark.parametrize("error", [CAUnavailable("503"), OrderRefused("no information about it")])
def test_an_endpoint_that_fails_is_shown_and_delays_no_renewal(mill, redis, error):
    before = renewal_score(redis)
    mill.world.ca.trouble.renewal_info = error

    check(mill)

    assert mill.status().ari.last_error == str(error)
    assert renewal_score(redis) == before
    assert mill.status().renewal_time == pytest.approx(before, abs=1)


def test_a_window_that_is_known_stays_when_the_endpoint_fails(mill):
    check(mill)
    mill.world.ca.trouble.renewal_info = CAUnavailable("503")
    renewal = mill.status().renewal_time

    check(mill, after=7 * HOUR)

    assert mill.status().ari.window == (WINDOW.start, WINDOW.end)
    assert mill.status().renewal_time == renewal


def test_an_endpoint_that_fails_is_asked_again_after_a_minute_and_then_less_often(mill):
    mill.world.ca.trouble.renewal_info = CAUnavailable("503")
    check(mill)

    asked = [sum(check(mill, after=60) for _ in range(60)) for _ in range(4)]

    assert asked[0] in range(5, 9)
    assert asked[3] <= 1


def test_after_an_outage_the_error_goes_away(mill):
    mill.world.ca.trouble.renewal_info = CAUnavailable("503")
    check(mill)
    mill.world.ca.trouble.renewal_info = WINDOW

    check(mill, after=DAY)

    assert (mill.status().ari.last_error, mill.status().ari.start) == ("", WINDOW.start)


def test_an_answer_that_changes_nothing_is_written_once_a_day(mill):
    written = []
    for _ in range(9):
        check(mill, after=7 * HOUR)
        written.append(mill.status().ari.last_checked)

    assert len(set(written)) == 3


def test_an_issuer_can_switch_it_off(mill, redis):
    check(mill)
    mill.ports.home.apply(an_issuer(uses_ari=False), "")

    assert check(mill, after=DAY) == 1
    mill.reconciler.reconcile(WEB.id)

    assert len(mill.world.ca.renewal_infos) == 1
    assert mill.status().ari is None
    assert renewal_score(redis) > WINDOW.end
    assert redis.zcard(keys.ARI_CHECKS) == 0


def test_a_pair_of_an_issuer_that_has_it_switched_off_is_not_checked(redis):
    mill = Mill(redis, issuer=an_issuer(uses_ari=False))
    mill.world.ca.trouble.renewal_info = WINDOW
    mill.issue()

    assert check(mill, after=DAY) == 0


def test_a_pair_that_was_stored_during_the_request_does_not_get_the_old_window(mill):
    check(mill)
    ari = mill.status().ari
    mill.ports.home.write_certificate_status(WEB.id, replace(mill.status(), ari=replace(ari, cert_id="a.b")))

    mill.reconciler.reconcile(WEB.id)

    assert mill.status().ari is None


def test_redis_that_has_lost_its_data_keeps_the_window_and_the_next_check(mill, redis):
    check(mill)
    renewal, next_check = mill.status().renewal_time, mill.status().ari.next_check
    redis.flushdb()

    mill.reconciler.reconcile(WEB.id)

    assert renewal_score(redis) == pytest.approx(renewal)
    assert redis.zscore(keys.ARI_CHECKS, WEB.id) == next_check
    assert len(mill.world.ca.ordered) == 1


def test_two_workers_do_not_make_the_same_request(mill):
    mill.world.clock.advance(2 * HOUR)
    taken = [
        mill.ports.ari_checks.take(now=mill.world.clock.now(), again_at=NOW + DAY, limit=9) for _ in range(2)
    ]

    assert taken == [[WEB.id], []]


def test_a_certificate_that_is_gone_is_not_checked_again(mill, redis):
    mill.ports.home.delete("Certificate", "default", "web")

    check(mill)

    assert redis.zcard(keys.ARI_CHECKS) == 0
    assert mill.world.ca.renewal_infos == []


def test_a_ca_that_is_down_is_asked_three_times_a_tick_for_all_its_certificates(redis):
    mill = Mill(redis)
    for number in range(5):
        name = f"web{number}"
        mill.apply(a_certificate(name=name, secret_name=f"{name}-tls", dns_names=(f"{name}.example.test",)))
        mill.issue()
    mill.world.ca.trouble.renewal_info = CAUnavailable("no answer")

    assert check(mill) == 5

    assert len(mill.world.ca.renewal_infos) == 3
    assert redis.zcount(keys.ARI_CHECKS, NOW + 2 * HOUR, NOW + 2 * HOUR + 130) == 5
