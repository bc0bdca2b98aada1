"""Handlers for the start and the stop of a process: set up logging, limit memory, report readiness, warn
about unsafe settings, close the engine."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import signals
from celery.app import trace as celery_trace
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning, WorkerShutdown

from certmill.observe import log
from certmill.settings import Settings, unknown_variables
from certmill.state.server.connection import connect as connect_redis
from certmill.state.server.connection import eviction_policy
from workers import memory
from workers.admin.exporter import Exporter
from workers.process import announce_ready, process_name

_SAFE_POLICY = "noeviction"
_CELERY_COMMANDS = ("worker", "beat", "flower")
_log = log.get_logger(__name__)

_QUIETER = {
    "celery.beat": logging.WARNING,  # INFO is a line a second: "Sending due task"
    "celery.worker.strategy": logging.WARNING,  # INFO is two lines for each step; steps log their own
    "celery.app.trace": logging.WARNING,
    "flower.inspector": logging.CRITICAL,  # it uses remote control, which is off
}


def connect(
    settings: Settings,
    exporter: Exporter,
    *,
    close: Callable[[], None],
    home_answers: Callable[[], bool] = lambda: True,
) -> None:
    """Connect the handlers to Celery's signals. `close` is called when a worker has stopped."""
    # Celery's lines about root; _warn_of_root logs a line of ours
    warnings.filterwarnings("ignore", category=SecurityWarning)
    handlers = _Handlers(settings=settings, exporter=exporter, close=close, home_answers=home_answers)
    for signal_, name, handle in (
        (signals.setup_logging, "log", handlers.set_logging_up),
        (signals.worker_init, "arenas", _limit_arenas),  # before the threads of the pool start
        (signals.worker_ready, "collector", _quieten),
        (signals.celeryd_after_setup, "admin", handlers.start_worker),  # after logging is set up
        (signals.beat_init, "admin", handlers.start_beat),
        (signals.worker_ready, "ready", handlers.announce),
        (signals.worker_ready, "warn", handlers.warn),
        (signals.beat_init, "ready", handlers.announce),
        (signals.worker_shutdown, "close", handlers.shut_down),
    ):
        signal_.connect(handle, weak=False, dispatch_uid=f"certmill.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handlers:
    """The handlers that need something of this process. Celery calls them with arguments by name."""

    settings: Settings
    exporter: Exporter
    close: Callable[[], None]
    home_answers: Callable[[], bool]

    def set_logging_up(self, loglevel: int, **_: object) -> None:
        # `-l` can ask for more than the setting. Its default, WARNING, looks the same as a request for less.
        level = min(loglevel, logging.getLevelNamesMapping()[self.settings.log_level])
        process = process_name(celery_command(sys.argv))
        configure_log(self.settings, process, level=logging.getLevelName(level))

    def start_worker(self, instance: Any, **_: object) -> None:  # a celery.worker.WorkController
        _refuse_autoscale(instance)
        self.exporter.liveness.need("the API server does not answer", self.home_answers)
        self.exporter.start(is_busy=True)

    def start_beat(self, **_: object) -> None:
        self.exporter.start()

    def announce(self, **_: object) -> None:
        self.exporter.working.set()
        announce_ready()

    def warn(self, **_: object) -> None:
        _warn_of_root()
        _warn_of_variables()
        _warn_of_eviction(self.settings)

    def shut_down(self, **_: object) -> None:
        self.close()
        self.exporter.stop()


def _refuse_autoscale(worker: Any) -> None:
    """Stop a worker that could not grow, which would end it in the middle of its work. Raises
    WorkerShutdown."""
    if worker.autoscale and not hasattr(worker.pool_cls, "grow"):
        reason = "a pool of threads has a fixed size: remove --autoscale, and set CERTMILL_WORKER_CONCURRENCY"
        _log.error("worker.cannot_start", reason=reason)
        raise WorkerShutdown(1)


def _limit_arenas(**_: object) -> None:
    memory.limit_arenas()


def _quieten(**_: object) -> None:
    memory.quieten_collector()
    # Celery shows this warning each time Redis is lost, about a setting that is already set. It is filtered
    # here, because Celery's set-up of logging enables all of these warnings.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


def configure_log(settings: Settings, process: str, *, level: str | None = None) -> None:
    """Set up the log of this process."""
    level = level or settings.log_level
    log.configure(settings.log_format, level, process)
    logging.getLogger(celery_trace.__name__).addFilter(_without_traceback)
    for name, least in _QUIETER.items():
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else least)


def celery_command(arguments: list[str]) -> str:
    """Return the Celery command with which this process was started, or "celery"."""
    return next((argument for argument in arguments[1:] if argument in _CELERY_COMMANDS), "celery")


def stop_asked() -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets, from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log a message that returns to its queue (the API server does not answer, or a conflict) as one line,
    without the place where it was rejected, which Celery adds.

    Also remove the second copy of a traceback: Celery logs it once more among the fields."""
    if record.msg == celery_trace.LOG_REJECTED.strip():
        record.exc_info = record.exc_text = None
    if isinstance(data := getattr(record, "data", None), dict):
        record.data = {name: value for name, value in data.items() if name != "traceback"}
    return True


def _warn_of_root() -> None:
    if os.geteuid() == 0:
        _log.warning("worker.runs_as_root", advice="run it as a separate user who owns the home")


def _warn_of_variables() -> None:
    for message in unknown_variables(os.environ):
        _log.warning("settings.unknown", problem=message)


def _warn_of_eviction(settings: Settings) -> None:
    """Warn if Redis may evict keys. Does nothing if Redis does not return its policy, because a worker's user
    need not have this permission."""
    url = settings.redis_url.get_secret_value()
    with connect_redis(url, ca_file=settings.redis_ca_file, timeout_seconds=2.0, max_connections=1) as client:
        policy = eviction_policy(client)
    if policy not in (None, _SAFE_POLICY):
        _log.warning(
            "redis.may_evict",
            maxmemory_policy=policy,
            advice=f"set maxmemory-policy to {_SAFE_POLICY}: others lose messages",
        )
