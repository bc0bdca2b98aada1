"""The ticks of beat as tasks. Each does what is due, and may run any number of times. `schedules` says when
they run, and why."""

from __future__ import annotations

from celery import Celery, shared_task

from certmill.contract import ARI_TASK, RENEWALS_TASK, REREAD_TASK, SWEEP_TASK, TICKS_QUEUE, WAKE_TASK
from certmill.observe.log import get_logger
from certmill.upkeep.ticks import DueWork, Reread
from tasks.base import Tick
from tasks.publishing import publish

log = get_logger("certmill.ticks")


@shared_task(bind=True, base=Tick, name=WAKE_TASK)
def wake(self: Tick) -> None:
    """Publish the steps that are due, the messages that may be lost, and the runs that may begin."""
    _publish_all(self.app, self.runtime.ticks.wake())


@shared_task(bind=True, base=Tick, name=RENEWALS_TASK)
def renewals(self: Tick) -> None:
    """Reconcile the certificates whose renewal or next attempt is due."""
    self.runtime.ticks.renew()


@shared_task(bind=True, base=Tick, name=ARI_TASK)
def ari(self: Tick) -> None:
    """Ask the CAs when to renew the certificates whose check is due."""
    self.runtime.ticks.check_ari()


@shared_task(bind=True, base=Tick, name=REREAD_TASK)
def reread(self: Tick) -> None:
    """Reconcile what changed in the home."""
    _log_problems(self.runtime.ticks.reread(owner=self.request.id))


@shared_task(bind=True, base=Tick, name=SWEEP_TASK)
def sweep(self: Tick) -> None:
    """Remove what crashed runs have left of their challenges."""
    self.runtime.ticks.sweep(owner=self.request.id)


def _publish_all(app: Celery, woken: DueWork) -> None:
    for wake_up in woken.wake_ups:
        publish(app, wake_up)
    if woken.reread:
        app.send_task(REREAD_TASK, queue=TICKS_QUEUE)


def _log_problems(found: Reread) -> None:
    for problem in found.problems:
        log.warning("manifest.problem", source=problem.source, problem=problem.message)
    for message in found.failed:
        log.warning("home.reread.failed", reason=message)
