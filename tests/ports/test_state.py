"""Records, due times, locks, journal and requests on a real Redis: what each Lua script promises."""

from __future__ import annotations

import threading

import pytest

from certmill.contract import CHANGES_QUEUE, STEPS_QUEUE
from certmill.errors import StateUnavailable
from certmill.model.key_authorization import KeyAuthorization
from certmill.model.names import CertificateId, certificate_id
from certmill.model.object_ref import ObjectRef
from certmill.model.trigger import Origin, Trigger
from certmill.state import keys
from certmill.state.due import DueTimes
from certmill.state.issuer_records import IssuerRecords
from certmill.state.journal import Journal, Presented
from certmill.state.key_authorizations import KeyAuthorizations
from certmill.state.locks import FenceOutdated, Locks, OwnedBy
from certmill.state.queues import lists_of
from certmill.state.records import Due, Records, Unclaimed
from certmill.state.requests import KEPT_REJECTIONS, KEPT_SECONDS, Acceptance, Rejection, Requests
from certmill.state.run_state import Adoption, RunState, Verdict
from certmill.state.server.connection import connect, eviction_policy
from certmill.state.snapshots import Snapshots

WEB = CertificateId("default/web")
PROD = ObjectRef(kind="ClusterIssuer", namespace="", name="prod")
NOWHERE = ObjectRef(kind="Issuer", namespace="default", name="there-is-none")
NOW = 1_800_000_000.0


@pytest.fixture
def records(redis):
    return Records(redis)


def begin(records, *, until=NOW + 10, **kwargs):
    options = {
        "now": NOW,
        "steps": ("one", "last"),
        "spec": "abc",
        "origin": Origin(root_id="root"),
        "in_flight_until": until,
    } | kwargs
    return records.begin(WEB, **options)


def claim(records, step="one", *, now=NOW, task_id="t"):
    return records.claim(WEB, step, now=now, lease_seconds=60, task_id=task_id, root_id="root")


def places(redis):
    return [name for name in keys.DUE_SETS if redis.zscore(name, WEB) is not None]


def test_a_run_begins_in_flight_or_among_the_arrivals(records, redis):
    assert begin(records) == (Verdict.BEGUN, 1)
    assert places(redis) == [keys.IN_FLIGHT]

    redis.flushdb()
    begin(records, until=None)

    assert places(redis) == [keys.ARRIVALS]


def test_a_second_begin_joins_the_run_that_is_under_way(records):
    begin(records)

    assert begin(records) == (Verdict.JOINED, 1)
    assert records.again(WEB) == ""


def test_a_changed_spec_asks_for_another_run_after_this_one(records):
    begin(records)

    assert begin(records, spec="def") == (Verdict.AGAIN, 2)
    assert records.again(WEB) == "def"


def test_a_new_certificate_that_is_asked_for_outlives_a_change_of_the_manifest(records):
    steps = ("one", "sent", "last")
    begin(records, steps=steps)
    records.commit(WEB, fence=claim(records).fence, step="last", due=Due.IN_FLIGHT, at=NOW + 10, fields={})
    assert begin(records, steps=steps, force=True, origin=Origin(root_id="another")) == (Verdict.AGAIN, 2)

    assert begin(records, steps=steps, spec="def") == (Verdict.AGAIN, 2)

    assert records.again(WEB) == "force"


@pytest.mark.parametrize(
    ("step", "verdict"),
    [("validate", (Verdict.JOINED, 1)), ("sent", (Verdict.AGAIN, 2)), ("last", (Verdict.AGAIN, 2))],
)
def test_a_new_certificate_that_is_requested_wakes_a_run_and_owns_it_before_the_csr(
    redis, records, step, verdict
):
    steps, another = ("one", "sent", "last"), Origin(root_id="another")
    begin(records, steps=steps)
    records.commit(WEB, fence=claim(records).fence, step=step, due=Due.WAITING, at=NOW + 600, fields={})

    assert begin(records, steps=steps, force=True, origin=another, now=NOW + 1) == verdict
    assert records.again(WEB) == ("force" if verdict[0] is Verdict.AGAIN else "")
    assert redis.zscore(keys.WAITING, WEB) == NOW + 1


def test_a_run_whose_manifest_is_gone_stops_waiting_and_is_reconciled_again(redis, records):
    begin(records)
    fence = claim(records).fence
    records.commit(WEB, fence=fence, step="validate", due=Due.WAITING, at=NOW + 600, fields={})

    assert records.forget(WEB, now=NOW + 1)

    assert records.again(WEB) == "deleted"
    assert redis.zscore(keys.WAITING, WEB) == NOW + 1


WAKES = {
    "end_wait": lambda records: records.end_wait(WEB, "one", now=NOW + 1),
    "forget": lambda records: records.forget(WEB, now=NOW + 1),
    "begin": lambda records: begin(records, spec="def", now=NOW + 1),
    "renew": lambda records: begin(records, force=True, origin=Origin(root_id="another"), now=NOW + 1),
}


@pytest.mark.parametrize("wake", WAKES)
def test_a_wake_up_that_comes_while_a_step_acts_ends_the_wait_that_it_begins(redis, records, wake):
    begin(records)
    fence = claim(records).fence

    WAKES[wake](records)
    records.commit(WEB, fence=fence, step="one", due=Due.WAITING, at=NOW + 600, fields={})

    assert DueTimes(redis).take(Due.WAITING, now=NOW + 2, suspect_after=NOW + 10, limit=9) == [WEB]


def test_a_wake_up_counts_once_and_for_no_later_step(redis, records):
    begin(records)
    fence = claim(records).fence
    records.end_wait(WEB, "one", now=NOW)
    records.commit(WEB, fence=fence, step="two", due=Due.IN_FLIGHT, at=NOW + 10, fields={})
    assert redis.zscore(keys.IN_FLIGHT, WEB) == NOW + 10

    records.commit(
        WEB, fence=claim(records, "two").fence, step="two", due=Due.WAITING, at=NOW + 600, fields={}
    )

    assert redis.zscore(keys.WAITING, WEB) == NOW + 600


def test_a_wake_up_before_a_step_acts_is_of_no_use_to_it(redis, records):
    begin(records)
    records.end_wait(WEB, "one", now=NOW)

    records.commit(WEB, fence=claim(records).fence, step="one", due=Due.WAITING, at=NOW + 600, fields={})

    assert redis.zscore(keys.WAITING, WEB) == NOW + 600


def test_a_request_whose_run_is_over_begins_no_other_when_it_comes_twice(records):
    asked, another = (Origin(root_id=one, trigger=Trigger.MANUAL) for one in ("request", "another"))
    begin(records, origin=asked, force=True)
    records.commit(
        WEB, fence=claim(records).fence, step="", due=Due.RENEWALS, at=NOW + 10, fields={}, drop=("root",)
    )

    assert begin(records, origin=asked, force=True) == (Verdict.AGAIN, 1)
    assert begin(records, origin=another, force=True) == (Verdict.BEGUN, 2)


def test_an_id_of_a_request_may_come_again_after_the_answer_to_it_is_forgotten(records):
    asked = Origin(root_id="every-month", trigger=Trigger.MANUAL)
    begin(records, origin=asked, force=True)
    records.commit(
        WEB, fence=claim(records).fence, step="", due=Due.RENEWALS, at=NOW + 10, fields={}, drop=("root",)
    )

    assert begin(records, origin=asked, force=True, now=NOW + KEPT_SECONDS - 1) == (Verdict.AGAIN, 1)
    assert begin(records, origin=asked, force=True, now=NOW + KEPT_SECONDS + 1) == (Verdict.BEGUN, 2)


def test_the_request_that_began_a_run_joins_it_when_it_comes_twice(records):
    begin(records, force=True)

    assert begin(records, force=True) == (Verdict.JOINED, 1)
    assert records.again(WEB) == ""


def test_a_claim_takes_the_lease_counts_the_attempt_and_raises_the_fence(records):
    begin(records)

    first = claim(records)
    second = claim(records, now=NOW + 61, task_id="u")

    assert (first.attempts, second.attempts) == (1, 2)
    assert second.fence == first.fence + 1
    assert (first.task_id, second.task_id, second.root_id) == ("t", "u", "root")


def test_a_leased_step_and_another_step_cannot_be_claimed(records):
    begin(records)
    claim(records)

    assert claim(records, now=NOW + 1) is Unclaimed.LEASED
    assert claim(records, "two") is Unclaimed.MOVED_ON
    assert (
        records.claim(CertificateId("no/where"), "one", now=NOW, lease_seconds=60, task_id="t", root_id="")
        is Unclaimed.MOVED_ON
    )


def test_a_commit_moves_on_frees_the_lease_and_keeps_the_certificate_in_one_set(records, redis):
    begin(records)
    mine = claim(records)

    assert records.commit(
        WEB, fence=mine.fence, step="two", due=Due.WAITING, at=NOW + 5, fields={"facts": "{}"}
    )

    moved = records.read(WEB)
    assert (moved.step, moved.lease, moved.attempts, moved.facts, moved.task_id) == ("two", 0, 0, "{}", "")
    assert places(redis) == [keys.WAITING]
    assert redis.zscore(keys.WAITING, WEB) == NOW + 5


def test_a_wait_at_the_same_step_keeps_the_task_id_so_that_flower_shows_one_task(records):
    begin(records)
    mine = claim(records, task_id="same")

    records.commit(WEB, fence=mine.fence, step="one", due=Due.WAITING, at=NOW, fields={"tries": "1"})

    (wake_up,) = records.wake_ups([WEB])
    assert (wake_up.step, wake_up.task_id, wake_up.root_id) == ("one", "same", "root")


def test_a_commit_with_an_old_fence_changes_nothing(records):
    begin(records)
    slow = claim(records)
    claim(records, now=NOW + 61)

    assert not records.commit(WEB, fence=slow.fence, step="two", due=Due.WAITING, at=NOW, fields={})
    assert not records.keep(WEB, fence=slow.fence, now=NOW, lease_seconds=60, fields={"facts": "stolen"})
    assert records.read(WEB).facts == ""


def advance(records, mine, *, now=NOW + 5, task_id="next", step="two", drop=(), **fields):
    return records.advance(
        WEB, mine, step=step, now=now, lease_seconds=60, task_id=task_id, fields=fields, drop=drop
    )


def test_a_step_is_ended_and_the_next_one_claimed_in_one_call(records, redis):
    begin(records)
    mine = claim(records)
    redis.hset(
        keys.record(WEB),
        mapping={"reason": "waited", "woken": "1", "tries": "3", "failures": "2", "lock": "theirs"},
    )

    claimed = advance(records, mine, drop=("reason",), facts="found", since="7")

    assert claimed == records.read(WEB)
    assert (claimed.step, claimed.fence, claimed.attempts, claimed.task_id, claimed.root_id) == (
        "two",
        mine.fence + 1,
        1,
        "next",
        "root",
    )
    assert (claimed.tries, claimed.failures, claimed.reason, claimed.facts, claimed.since) == (
        0,
        0,
        "",
        "found",
        7,
    )
    assert (claimed.lease, claimed.lock, redis.hget(keys.record(WEB), "woken")) == (NOW + 65, "theirs", None)
    assert (places(redis), redis.zscore(keys.IN_FLIGHT, WEB)) == ([keys.IN_FLIGHT], NOW + 65)
    assert claim(records, "two", now=NOW + 6) is Unclaimed.LEASED
    assert claim(records, "one", now=NOW + 6) is Unclaimed.MOVED_ON


def test_an_advance_whose_answer_was_lost_may_be_sent_again(records):
    begin(records)
    mine = claim(records)
    first = advance(records, mine, facts="found")

    assert advance(records, mine, now=NOW + 6, facts="found") == first
    assert advance(records, mine, task_id="of another worker") is None
    assert records.read(WEB) == first


def test_an_advance_with_an_old_fence_changes_nothing(records):
    begin(records)
    slow = claim(records)
    claim(records, now=NOW + 61, task_id="of another worker")

    assert advance(records, slow, now=NOW + 62) is None
    assert (records.read(WEB).step, records.read(WEB).task_id) == ("one", "of another worker")


def test_what_is_asked_for_while_a_step_acts_is_in_the_record_of_the_next(records):
    begin(records)
    mine = claim(records)
    begin(records, spec="changed", now=NOW + 1)

    assert advance(records, mine).again == "changed"


def test_a_worker_that_dies_after_an_advance_is_noticed_when_the_lease_ends(records, redis):
    begin(records)
    advance(records, claim(records))

    assert claim(records, "two", now=NOW + 66).attempts == 2


def test_keeping_facts_renews_the_lease(records):
    begin(records)
    mine = claim(records)

    assert records.keep(WEB, fence=mine.fence, now=NOW + 50, lease_seconds=60, fields={"facts": "kept"})

    assert claim(records, now=NOW + 100) is Unclaimed.LEASED
    assert records.read(WEB).facts == "kept"


def test_a_worker_from_before_a_flush_cannot_commit_into_the_new_record(records, redis):
    begin(records)
    zombie = claim(records)
    redis.flushdb()
    begin(records, now=NOW + 100, until=NOW + 110)

    assert not records.commit(WEB, fence=zombie.fence, step="two", due=Due.WAITING, at=NOW, fields={})


def test_a_new_spec_forgets_the_facts_and_the_key_of_the_last_run(records):
    begin(records)
    mine = claim(records)
    records.commit(
        WEB, fence=mine.fence, step="", due=Due.RENEWALS, at=NOW, fields={"facts": "order", "key": "sealed"}
    )

    begin(records)
    assert records.read(WEB).facts == "order"
    mine = claim(records)
    records.commit(WEB, fence=mine.fence, step="", due=Due.RENEWALS, at=NOW, fields={})

    begin(records, spec="other")
    assert (records.read(WEB).facts, records.read(WEB).sealed_key) == ("", "")


def test_adopting_leaves_a_run_under_way_alone(records, redis):
    assert records.adopt(WEB, now=NOW, at=NOW + 99, spec="abc") is Adoption.ADOPTED
    assert places(redis) == [keys.RENEWALS]

    begin(records)

    assert records.adopt(WEB, now=NOW, at=NOW + 99, spec="abc") is Adoption.RUNNING
    assert places(redis) == [keys.IN_FLIGHT]


@pytest.mark.parametrize("known", [True, False])
def test_a_decision_from_before_a_deletion_stores_nothing(records, redis, known):
    if known:
        records.adopt(WEB, now=NOW, at=NOW + 99, spec="abc")
    seen = records.run_state(WEB)

    records.forget(WEB, now=NOW)

    assert records.adopt(WEB, now=NOW, at=NOW + 99, spec="abc", expected=seen) is Adoption.STALE
    assert begin(records, expected=seen) == (Verdict.STALE, 0)
    assert (records.read(WEB), places(redis)) == (None, [])
    now = records.run_state(WEB)
    assert records.adopt(WEB, now=NOW, at=NOW + 99, spec="abc", expected=now) is Adoption.ADOPTED
    assert begin(records, expected=now) == (Verdict.BEGUN, 1)


def test_what_was_requested_in_a_run_that_has_ended_meanwhile_is_not_lost(redis, records):
    begin(records)
    seen = records.run_state(WEB)
    fence = claim(records).fence
    begin(records, spec="def")
    records.commit(WEB, fence=fence, step="", due=Due.RENEWALS, at=NOW + 99, fields={})

    assert records.adopt(WEB, now=NOW, at=NOW + 9999, spec="abc", expected=seen) is Adoption.RUNNING

    assert records.again(WEB) == "def"
    assert DueTimes(redis).renewals(now=NOW, limit=9) == [WEB]
    answered = RunState(rerun_reason="def", run="1", deletions="0")
    assert records.adopt(WEB, now=NOW, at=NOW + 9999, spec="def", expected=answered) is Adoption.ADOPTED
    assert records.again(WEB) == ""
    assert redis.zscore(keys.RENEWALS, WEB) == NOW + 9999


def test_forgetting_leaves_no_trace_of_a_certificate_without_a_run(records, redis):
    for place in keys.DUE_SETS:
        redis.zadd(place, {WEB: NOW})
    redis.zadd(keys.RUNS, {WEB: NOW})
    redis.hset(keys.CERTIFICATE_GAUGES, WEB, "{}")
    redis.hset(keys.record(WEB), "step", "")

    assert not records.forget(WEB, now=NOW)

    assert records.read(WEB) is None
    assert places(redis) == []
    assert redis.zscore(keys.RUNS, WEB) is None
    assert not redis.exists(keys.CERTIFICATE_GAUGES)


def test_two_ticks_at_once_never_take_the_same_id(records, redis):
    due = DueTimes(redis)
    for number in range(200):
        redis.zadd(keys.WAITING, {f"default/{number}": NOW})
    taken, lock = [], threading.Lock()

    def tick():
        ids = due.take(Due.WAITING, now=NOW, suspect_after=NOW + 10, limit=150)
        with lock:
            taken.extend(ids)

    threads = [threading.Thread(target=tick) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 200
    assert redis.zcard(keys.IN_FLIGHT) == 200


def test_a_suspect_is_taken_once_a_grace_and_what_is_not_due_stays(redis):
    due = DueTimes(redis)
    redis.zadd(keys.IN_FLIGHT, {WEB: NOW, "default/later": NOW + 100})

    assert due.take(Due.IN_FLIGHT, now=NOW, suspect_after=NOW + 10, limit=9) == [WEB]
    assert due.take(Due.IN_FLIGHT, now=NOW, suspect_after=NOW + 10, limit=9) == []
    assert due.take(Due.IN_FLIGHT, now=NOW + 11, suspect_after=NOW + 20, limit=9) == [WEB]


def test_the_queue_is_as_long_as_celerys_list(redis):
    redis.lpush(STEPS_QUEUE, "a", "b")

    assert DueTimes(redis).queue_length() == 2


def test_the_messages_of_every_priority_are_counted(redis):
    for queue in (STEPS_QUEUE, CHANGES_QUEUE):
        for name in lists_of(queue):
            redis.lpush(name, "a message")

    due = DueTimes(redis)

    assert (due.queue_length(), due.requests_waiting(), due.backlog(now=NOW).queue) == (4, 4, 4)


def test_the_reconcile_requests_that_wait_are_counted_by_themselves(redis):
    redis.rpush(STEPS_QUEUE, "one")
    redis.rpush(CHANGES_QUEUE, "one", "two", "three")

    assert DueTimes(redis).requests_waiting() == 3


def test_a_lock_is_its_owners_until_released_or_run_out(redis):
    locks = Locks(redis)

    assert locks.acquire("order", "acct", "a,b", owner="me", seconds=60)
    assert locks.acquire("order", "acct", "a,b", owner="me", seconds=60)
    assert not locks.acquire("order", "acct", "a,b", owner="you", seconds=60)
    assert locks.acquire("order", "acct,a", "b", owner="you", seconds=60)

    locks.release("order", "acct", "a,b", owner="you")
    assert not locks.acquire("order", "acct", "a,b", owner="you", seconds=60)
    locks.release("order", "acct", "a,b", owner="me")
    assert locks.acquire("order", "acct", "a,b", owner="you", seconds=60)


def test_a_step_that_was_lost_takes_no_lock(records, redis):
    begin(records)
    slow = claim(records)
    newer = claim(records, now=NOW + 61)
    locks = Locks(redis)

    with pytest.raises(FenceOutdated):
        locks.acquire_for_step("order", "names", certificate=WEB, fence=slow.fence, before="", seconds=60)
    locks.acquire_for_step("order", "names", certificate=WEB, fence=newer.fence, before="", seconds=60)
    assert not locks.acquire("order", "names", owner="you", seconds=60)


def test_a_record_knows_the_lock_that_its_run_holds_and_has_one_at_most(records, redis):
    begin(records)
    fence = claim(records).fence
    locks = Locks(redis)

    locks.acquire_for_step("order", "names", certificate=WEB, fence=fence, before="", seconds=60)
    first = records.read(WEB)
    locks.acquire_for_step(
        "order", "other names", certificate=WEB, fence=fence, before=first.lock, seconds=60
    )

    assert locks.acquire("order", "names", owner="you", seconds=60)
    assert not locks.acquire("order", "other names", owner="you", seconds=60)
    locks.release_of(records.read(WEB), WEB)
    assert locks.acquire("order", "other names", owner="you", seconds=60)


def test_of_those_that_wait_for_a_runs_lock_namespaces_take_turns(records, redis):
    """Else whoever asks for somebody's names in many Certificates would have the lock again and again."""
    locks, ids = (
        Locks(redis),
        [certificate_id(*name) for name in (("many", "one"), ("many", "two"), ("one", "web"))],
    )
    fences = {}
    for each in ids:
        records.begin(
            each,
            now=NOW,
            steps=("one", "last"),
            spec="abc",
            origin=Origin(root_id="root"),
            in_flight_until=NOW + 10,
        )
        fences[each] = records.claim(
            each, "one", now=NOW, lease_seconds=60, task_id="t", root_id="root"
        ).fence

    def take(certificate):
        return locks.acquire_for_step(
            "order", "names", certificate=certificate, fence=fences[certificate], before="", seconds=60
        )

    one, two, web = ids
    assert (take(one), take(two), take(web)) == (None, OwnedBy(owner=one), OwnedBy(owner=one))
    locks.release_of(records.read(one), one)

    assert (take(two), take(one)) == (OwnedBy(owner=web), OwnedBy(owner=web))
    assert (take(web), take(web)) == (None, None)
    locks.release_of(records.read(web), web)
    assert take(two) is None


def test_what_is_noted_under_names_of_anybodys_choice_ends_by_itself(redis):
    snapshots, issuer_records = Snapshots(redis), IssuerRecords(redis)
    issuer_records.note_failing(NOWHERE, WEB, now=NOW)
    issuer_records.note_failing(NOWHERE, CertificateId("default/other"), now=NOW, spec="one")
    snapshots.claim_secret("default", "some-secret", "web")

    assert all(0 < redis.ttl(key) <= 4 * 24 * 3600 for key in redis.scan_iter("*"))
    assert issuer_records.failing(NOWHERE) == [WEB]


def test_the_journal_gives_back_what_is_old_and_not_removed(redis):
    journal = Journal(redis)
    entries = [
        Presented(
            certificate=WEB,
            issuer_kind="Issuer",
            issuer_namespace="default",
            issuer_name="i",
            identifier="*.e.test",
            record_name="_acme-challenge.e.test",
            zone="e.test",
            value=value,
        )
        for value in ("one", "two", "three")
    ]
    journal.add(entries[:2], now=NOW)
    journal.add(entries[2:], now=NOW + 100)

    journal.remove(entries[:1])

    assert journal.older_than(NOW + 1, 10).entries == (entries[1],)
    assert journal.older_than(NOW + 100, 10).entries == tuple(entries[1:])


def test_a_request_is_found_by_its_id_accepted_or_refused(redis):
    requests = Requests(redis)
    requests.accept("a", Acceptance(certificate=WEB, run=3))
    requests.reject(Rejection(at=NOW, request_id="b", certificate="default/x", reason="spec.dnsNames: bad"))

    assert requests.find("a") == Acceptance(certificate=WEB, run=3)
    assert requests.find("b") == Rejection(
        at=NOW, request_id="b", certificate="default/x", reason="spec.dnsNames: bad"
    )
    assert requests.find("c") is None


def test_the_list_of_refused_requests_is_bounded_and_newest_first(redis):
    requests = Requests(redis)
    for number in range(KEPT_REJECTIONS + 5):
        requests.reject(
            Rejection(at=NOW + number, request_id=str(number), certificate="?", reason="x" * 9000)
        )

    found = requests.rejections()

    assert len(found) == KEPT_REJECTIONS
    assert found[0].request_id == str(KEPT_REJECTIONS + 4)
    assert len(found[0].reason) <= 500


def test_a_reread_is_asked_for_once(redis):
    snapshots = Snapshots(redis)
    snapshots.request_reread()

    assert snapshots.take_reread_request()
    assert not snapshots.take_reread_request()


def test_failing_certificates_wait_for_their_issuer_until_they_are_forgotten(redis):
    records = IssuerRecords(redis)
    records.note_failing(PROD, WEB, now=NOW)
    records.note_failing(PROD, CertificateId("default/other"), now=NOW)

    assert records.failing(PROD) == ["default/other", WEB]
    records.forget_failing(PROD, [WEB])
    assert records.failing(PROD) == ["default/other"]


def test_what_the_issuer_did_not_cause_waits_for_another_spec_of_it(redis):
    records = IssuerRecords(redis)
    records.note_failing(PROD, WEB, now=NOW, spec="one")

    assert records.failing(PROD) == []
    assert records.failing(PROD, spec="one") == []
    assert records.failing(PROD, spec="two") == [WEB]
    records.note_failing(PROD, WEB, now=NOW)
    assert records.failing(PROD, spec="one") == [WEB]
    records.note_failing(PROD, WEB, now=NOW, spec="one")
    assert records.failing(PROD) == []
    records.forget_failing(PROD, [WEB])
    assert records.failing(PROD, spec="two") == []


def test_a_failure_is_forgotten_although_others_are_noted_after_it(redis):
    records, gone = IssuerRecords(redis), CertificateId("default/gone")
    records.note_failing(PROD, gone, now=NOW, spec="one")
    records.note_failing(PROD, CertificateId("default/too"), now=NOW)
    for day in (3, 5):
        records.note_failing(PROD, WEB, now=NOW + day * 86_400, spec="one")

    assert records.failing(PROD, spec="two") == [WEB]
    records.forget_failing(PROD, [WEB])
    assert list(redis.scan_iter("*")) == []


def test_a_key_authorization_is_served_until_removed_and_ends_by_itself(redis):
    tokens = KeyAuthorizations(redis)
    tokens.put("token", "token.thumb", host="a.test")

    assert tokens.get("token") == KeyAuthorization(text="token.thumb", hosts=frozenset({"a.test"}))
    assert all(0 < redis.ttl(key) <= 7 * 24 * 3600 for key in redis.keys("certmill:http01*"))
    tokens.remove("token")
    assert tokens.get("token") is None
    assert redis.keys("certmill:http01*") == []


def test_a_token_of_two_hosts_is_for_both(redis):
    tokens = KeyAuthorizations(redis)
    tokens.put("token", "token.thumb", host="a.test")
    tokens.put("token", "token.thumb", host="b.test")

    found = tokens.get("token")
    assert [found.is_for(host) for host in ("a.test", "b.test", "c.test", "")] == [True, True, False, False]


def test_what_an_older_release_put_there_is_for_every_host(redis):
    redis.set("certmill:http01:token", "token.thumb")

    assert KeyAuthorizations(redis).get("token") == KeyAuthorization(text="token.thumb")
    assert KeyAuthorizations(redis).get("token").is_for("anything.test")


def test_an_older_release_reads_a_key_authorization_as_it_is(redis):
    KeyAuthorizations(redis).put("token", "token.thumb", host="a.test")

    assert redis.get("certmill:http01:token") == "token.thumb"


def test_an_absent_redis_is_one_error_without_its_url():
    records = Records(connect("redis://user:hunter2@127.0.0.1:1/0", timeout_seconds=0.2))

    with pytest.raises(
        StateUnavailable, match=r"Redis does not answer at \S+:\d+ .* start it, .*`python -m workers up`"
    ) as caught:
        records.read(WEB)
    assert "hunter2" not in str(caught.value)


def test_a_refused_login_is_reported_as_one_without_its_password(redis_server):
    client = connect(redis_server.url.replace("redis://", "redis://nobody:hunter2@"))

    with (
        client,
        pytest.raises(
            StateUnavailable, match="Redis refuses our login: see the user and password of CERTMILL_REDIS_URL"
        ) as caught,
    ):
        Records(client).read(WEB)
    assert "hunter2" not in str(caught.value)


def test_the_eviction_policy_is_none_where_it_is_not_reported(redis):
    assert eviction_policy(redis) == "noeviction"
    with connect("redis://127.0.0.1:1/0", timeout_seconds=0.2) as absent:
        assert eviction_policy(absent) is None
