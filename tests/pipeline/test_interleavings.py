"""Any interleaving of crashes, losses and duplicates of steps ends in the same state as the straight run.

Real Redis and its Lua; the engine, the ticks; a CA, a provider and a home in memory; a clock that we turn.
Celery's part is played as it behaves: a step that advanced publishes the next one before it is acknowledged,
so a worker that dies in between delivers it twice, or never."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certmill.contract import STEP_NAMES
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.model.issuer import Dns01Solver, Http01Solver, Selector, Solver
from certmill.runs.outcomes import Drop, Fail, Proceed
from certmill.state import keys
from certmill.state.records import Records
from certmill.state.server.connection import connect
from certmill.upkeep.sweep import SWEEP_AFTER_SECONDS
from tests.support.builders import ECDSA, NOW, a_certificate, an_issuer
from tests.support.memory import MemoryWorld

CERTIFICATE = a_certificate(dns_names=("*.example.test", "example.test", "web.other.test"), private_key=ECDSA)
ISSUER = an_issuer(
    solvers=(
        Solver(http01=Http01Solver()),
        Solver(
            dns01=Dns01Solver(provider=Rfc2136(nameserver="192.0.2.1")),
            selector=Selector(dns_zones=("example.test",)),
        ),
    )
)


class WorkerKilled(BaseException):
    """An exception with the effect that SIGKILL has on the engine."""


class Stalled:
    """A worker that stops at a point of its step for any time and then continues, like a paused machine or
    a slow network."""

    def __init__(self, at: str, step: str) -> None:
        self.at, self.step = at, step
        self.parked, self.go = threading.Event(), threading.Event()


class MortalRecords(Records):
    """Records whose worker may be killed or may stall after the claim, before the commit, or after it."""

    def __init__(self, client) -> None:
        super().__init__(client)
        self.kill_at = ""
        self.stalling = threading.local()

    def claim(self, *args, **kwargs):
        claimed = super().claim(*args, **kwargs)
        self._maybe("before act")
        return claimed

    def keep(self, *args, **kwargs):
        kept = super().keep(*args, **kwargs)
        self._maybe("in the middle")
        return kept

    def commit(self, *args, **kwargs):
        self._maybe("after act")
        committed = super().commit(*args, **kwargs)
        self._maybe("after commit")
        return committed

    def advance(self, *args, **kwargs):
        self._maybe("after act")
        claimed = super().advance(*args, **kwargs)
        self._maybe("after commit")
        return claimed

    def _maybe(self, where: str) -> None:
        stalled = getattr(self.stalling, "plan", None)
        if stalled is not None and stalled.at == where:
            self.stalling.plan = None
            stalled.parked.set()
            stalled.go.wait()
        if stalled is None and self.kill_at == where:
            self.kill_at = ""
            raise WorkerKilled


@dataclass
class Play:
    """The engine; the test delivers the messages."""

    world: MemoryWorld
    messages: list[str] = field(default_factory=list)
    kills: int = 0
    stalls: int = 0
    stalled: list[tuple[Stalled, threading.Thread]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.records: Any = self.world.ports.records  # MortalRecords
        runtime = self.world.runtime()
        self.engine, self.ticks = runtime.engine, runtime.ticks
        assert runtime.reconciler.reconcile(CERTIFICATE.id).publish_run
        self.messages.append("register_account")

    def deliver(self, which: int, kill_at: str = "") -> None:
        if not self.messages:
            return
        step = self.messages.pop(which % len(self.messages))
        self.records.kill_at = kill_at
        try:
            result = self.engine.run(step, CERTIFICATE.id, task_id="t", root_id="r")
        except WorkerKilled:
            self.kills += 1
            return
        finally:
            self.records.kill_at = ""
        self._celery_goes_on(step, result)

    def deliver_continuing(self, which: int, kill_at: str = "") -> None:
        """Deliver a message to a worker that continues with `which` more steps, and then publishes, or is
        killed at a point of the last one."""
        if not self.messages:
            return
        step, claimed, result = self.messages.pop(which % len(self.messages)), None, None
        for left in range(which, -1, -1):
            self.records.kill_at = "" if left else kill_at
            next_task = f"continued {left}" if left or kill_at else ""
            try:
                result = self.engine.run(
                    step,
                    CERTIFICATE.id,
                    task_id="t",
                    root_id="r",
                    claimed=claimed,
                    next_task=partial(str, next_task),
                )
            except WorkerKilled:
                self.kills += 1
                return
            finally:
                self.records.kill_at = ""
            claimed = result.claimed if isinstance(result, Proceed) else None
            if claimed is None:
                break
            step = claimed.step
        if claimed is None:
            self._celery_goes_on(step, result)

    def stall(self, which: int, at: str) -> None:
        """Deliver a message to a worker that stalls at a point, with its step leased while time passes."""
        if not self.messages or len(self.stalled) >= 3:
            return
        plan = Stalled(at, self.messages.pop(which % len(self.messages)))
        thread = threading.Thread(target=self._run_stalling, args=(plan,))
        thread.start()
        plan.parked.wait()
        self.stalled.append((plan, thread))
        self.stalls += 1

    def resume(self, which: int = 0) -> None:
        """Let a stalled worker continue with its step."""
        if self.stalled:
            plan, thread = self.stalled.pop(which % len(self.stalled))
            plan.go.set()
            thread.join()

    def _run_stalling(self, plan: Stalled) -> None:
        self.records.stalling.plan = plan
        try:
            result = self.engine.run(plan.step, CERTIFICATE.id, task_id="s", root_id="r")
        finally:
            plan.parked.set()
        self._celery_goes_on(plan.step, result)

    def _celery_goes_on(self, step: str, result) -> None:
        if isinstance(result, Proceed) and step != STEP_NAMES[-1]:
            self.messages.append(STEP_NAMES[STEP_NAMES.index(step) + 1])
        elif isinstance(result, Fail) or (isinstance(result, Drop) and result.publish_run):
            self.messages += [wake_up.step for wake_up in self.records.wake_ups([CERTIFICATE.id])]

    def lose(self, which: int) -> None:
        if self.messages:
            self.messages.pop(which % len(self.messages))

    def double(self, which: int) -> None:
        if self.messages:
            self.messages.append(self.messages[which % len(self.messages)])

    def tick(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.messages += [wake_up.step for wake_up in self.ticks.wake().wake_ups]

    def to_the_end(self) -> None:
        for _ in range(400):
            while self.messages:
                self.deliver(0)
            self.resume()
            record = self.records.read(CERTIFICATE.id)
            if record.step == "" and not self.stalled and not self.messages:
                self.world.clock.advance(SWEEP_AFTER_SECONDS + 1)
                self.ticks.sweep("sweep")
                return
            self.tick(30.0)
        pytest.fail(f"still at {self.records.read(CERTIFICATE.id)}")


@pytest.fixture(scope="module")
def redis(redis_server):
    client = connect(redis_server.url.replace("/0", "/8"))
    yield client
    client.flushdb()
    client.close()


def a_world(redis) -> MemoryWorld:
    redis.flushdb()
    return MemoryWorld(redis, CERTIFICATE, ISSUER, records=MortalRecords(redis), now=NOW)


def assert_as_after_the_straight_run(play, redis):
    world = play.world
    stored = world.leaf(CERTIFICATE)
    assert set(stored.dns_names) == set(CERTIFICATE.dns_names)
    assert world.home.certificate_status(CERTIFICATE.id).condition("Ready").status
    assert world.home.certificate_status(CERTIFICATE.id).revision == 1
    assert world.provider.values == {}
    record = play.records.read(CERTIFICATE.id)
    assert (record.result, record.facts, record.sealed_key) == ("issued", "", "")
    assert [name for name in keys.DUE_SETS if redis.zscore(name, CERTIFICATE.id) is not None] == [
        keys.RENEWALS
    ]
    left = {
        key
        for pattern in ("certmill:http01:*", "certmill:lock:*", keys.JOURNAL)
        for key in redis.scan_iter(pattern)
    }
    assert left == set()
    assert len(world.ca.orders) <= 1 + play.kills + play.stalls


def test_the_straight_run_takes_eight_steps_and_one_order(redis):
    play = Play(world=a_world(redis))

    delivered = []
    while play.messages:
        delivered.append(play.messages[0])
        play.deliver(0)

    assert tuple(delivered) == STEP_NAMES
    assert len(play.world.ca.orders) == 1
    assert_as_after_the_straight_run(play, redis)


POINTS = ("before act", "in the middle", "after act", "after commit")
EVENTS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 3)),
    st.tuples(st.just("lose"), st.integers(0, 3)),
    st.tuples(st.just("double"), st.integers(0, 3)),
    st.tuples(st.sampled_from(POINTS), st.integers(0, 3)),
    st.tuples(st.sampled_from([f"stall {point}" for point in POINTS]), st.integers(0, 3)),
    st.tuples(st.just("resume"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["continue", *(f"continue {point}" for point in POINTS)]), st.integers(0, 7)),
    st.tuples(st.just("tick"), st.sampled_from([0, 1, 12, 61])),
)


@pytest.mark.timeout(600)  # takes a minute alone
@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(EVENTS, max_size=60))
def test_any_interleaving_of_crashes_losses_and_duplicates_ends_as_the_straight_run(redis, events):
    play = Play(world=a_world(redis))

    for event, number in events:
        match event:
            case "deliver":
                play.deliver(number)
            case "lose":
                play.lose(number)
            case "double":
                play.double(number)
            case "tick":
                play.tick(number)
            case "resume":
                play.resume(number)
            case going_on if going_on.startswith("continue"):
                play.deliver_continuing(number, going_on.removeprefix("continue").strip())
            case stall if stall.startswith("stall "):
                play.stall(number, stall.removeprefix("stall "))
            case _:
                play.deliver(number, kill_at=event)
    play.to_the_end()

    assert_as_after_the_straight_run(play, redis)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("step", STEP_NAMES)
def test_a_worker_killed_at_any_point_of_any_step_costs_time_only(redis, step, point):
    play = Play(world=a_world(redis))
    while play.messages and play.messages[0] != step:
        play.deliver(0)

    play.deliver(0, kill_at=point)
    play.to_the_end()

    assert_as_after_the_straight_run(play, redis)


def test_a_step_that_kills_its_worker_each_time_is_stopped_with_a_reason(redis):
    play = Play(world=a_world(redis))
    while play.messages[0] != "finalize":
        play.deliver(0)

    for _ in range(play.world.ports.limits.max_attempts):
        play.deliver(0, kill_at="before act")
        play.tick(61)
    play.to_the_end()

    status = play.world.home.certificate_status(CERTIFICATE.id)
    assert "finalize was begun" in status.condition("Issuing").message
    assert status.next_attempt > play.world.clock.now()
    assert play.world.provider.values == {}
