"""All of Celery's configuration in one table, each line with its reason, and the app that has it.

The values were measured in the reference (celery.md §10). A worker, beat and Flower have them all without any
command-line flag."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from celery import Celery
from kombu import Exchange, Queue

from certmill.contract import STEPS_QUEUE, TASKS_OF_QUEUE, WAKE_UP_QUEUES
from certmill.settings import Settings
from certmill.state.server.failover import FileCredentials
from workers.admin.exporter import Exporter
from workers.admin.liveness import Liveness
from workers.broker.guard import Rejected
from workers.broker.transport import CREDENTIALS

if TYPE_CHECKING:
    from certmill.runtime import Runtime

Schedule = Mapping[str, Mapping[str, object]]


class App(Celery):
    """A Celery app with the callback that stores what the guard refuses, and with the liveness and the admin
    port of its process."""

    amqp_cls = "workers.broker.transport:Amqp"
    control_cls = "workers.control:Control"
    events_cls = "workers.events:Events"

    on_rejected: Rejected
    liveness: Liveness
    exporter: Exporter
    runtime: Callable[[], Runtime]
    """Returns the engine of this process, for its tasks (tasks.base)."""
    require_own_redis: Callable[[], None]
    """Raises OtherInstallation if Redis belongs to another installation."""


def configured_app(settings: Settings, *, schedule: Schedule, on_rejected: Rejected) -> App:
    """Return the app without its tasks."""
    app = App("certmill", set_as_current=False)  # a worker makes it the current app itself
    app.on_rejected = on_rejected
    app.liveness = Liveness()
    app.exporter = Exporter(settings, app.liveness)
    app.require_own_redis = lambda: None
    app.conf.update(table(settings, schedule))
    return app


def table(settings: Settings, schedule: Schedule) -> dict[str, Any]:
    """Return Celery's settings."""
    return {
        **_broker(settings),
        **_queues(),
        **_messages(),
        **_worker(settings.worker_concurrency),
        **_events(),
        **_beat(schedule),
        "timezone": "UTC",
        "enable_utc": True,
    }


def _broker(settings: Settings) -> dict[str, Any]:
    url = _broker_url(settings)
    return {
        "broker_url": url,
        # Set in all three: a CELERY_BROKER_URL for another app must not separate us from our records.
        "broker_read_url": url,
        "broker_write_url": url,
        "broker_use_ssl": _tls(settings),
        "broker_transport_options": _transport_options(settings),
        # connections for publishing: one for each thread, and the main loop's
        "broker_pool_limit": settings.worker_concurrency + 8,
        "broker_connection_retry_on_startup": True,  # Redis may start after us
        "broker_connection_max_retries": None,  # and may be away for an hour; the default is 100 tries
        "broker_connection_timeout": 5,
    }


def _queues() -> dict[str, Any]:
    return {
        # A wake-up can be lost: the tick publishes a step again (design §2), and beat the tick. So Redis
        # stores no copy of it while its task runs, which would cost two transactions for each message.
        "task_queues": [
            Queue(name, Exchange(name), routing_key=name, no_ack=name in WAKE_UP_QUEUES)
            for name in TASKS_OF_QUEUE
        ],
        "task_routes": {
            task: {"queue": name, "routing_key": name}
            for name, tasks in TASKS_OF_QUEUE.items()
            for task in tasks
        },
        "task_default_queue": STEPS_QUEUE,
        "task_create_missing_queues": False,  # `-Q typo` is an error, not a queue into which nobody publishes
        "worker_detect_quorum_queues": False,  # a feature of RabbitMQ
    }


def _messages() -> dict[str, Any]:
    return {
        "task_serializer": "json",
        "accept_content": ["json"],  # never pickle: a client that writes to the broker could run code
        "result_backend": None,  # the record is the result (design §2)
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_acks_late": True,  # a worker that stops gives back the messages that it has not finished
        "task_reject_on_worker_lost": False,  # True causes a loop: nine starts in 8 s measured
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },  # the message is a wake-up: the tick publishes it again when it is due
    }


def _worker(threads: int) -> dict[str, Any]:
    return {
        # Steps wait for networks: 32 threads in 55 MB do the work of 16 processes in 460 MB.
        "worker_pool": "workers.continuation:ThreadPool",
        "worker_concurrency": threads,
        # Prefetched messages are not reordered, and come back late when the worker dies.
        "worker_prefetch_multiplier": 1,
        # The multiplier counts messages that are not acknowledged; this counts tasks, steps too.
        "worker_disable_prefetch": True,
        "worker_consumer": "workers.broker.guard:SafeConsumer",
        # With remote control, Celery 5.7 exits on a broken connection, and a PUBLISH in Redis could control
        # workers.
        "worker_enable_remote_control": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # True ran tasks twice
        "worker_eta_task_limit": 100,  # the guard accepts no ETA; this is a second limit
        "worker_hijack_root_logger": False,  # certmill.observe.log configures logging
        "worker_redirect_stdouts": False,
    }


def _events() -> dict[str, Any]:
    """What Flower shows."""
    return {
        "worker_send_task_events": True,
        # The event `received` says the same a few milliseconds later. This one costs 0.35 ms CPU, where a
        # publish costs 0.9 ms.
        "task_send_sent_event": False,
    }


def _beat(schedule: Schedule) -> dict[str, Any]:
    return {
        "beat_schedule": {name: dict(entry) for name, entry in schedule.items()},
        "beat_scheduler": "workers.scheduler:Scheduler",  # in memory, so any number of beats can run anywhere
        "beat_max_loop_interval": 1,  # the shortest interval of a tick is one second
        "beat_enable_remote_control": False,
    }


def _transport_options(settings: Settings) -> dict[str, object]:
    file, url = settings.redis_url_file, settings.redis_url.get_secret_value()
    return {
        CREDENTIALS: FileCredentials(file, url) if file is not None else None,
        # Above the longest step. A message that comes back too early does no harm, because its step was
        # claimed or its request was handled. A request whose worker died waits for this long.
        "visibility_timeout": int(max(120, 2 * settings.step_lease_seconds)),
        # With throttle 1, kombu checks every 20 s. With Celery's defaults it checks every 100 s.
        "unacked_restore_interval": 20,
        "unacked_restore_throttle": 1,
        # Steps first, but every ninth turn belongs to the other queues.
        "queue_order_strategy": "workers.broker.steps_first_cycle:StepsFirstCycle",
        "socket_timeout": 10,  # kombu's default waits for ever when Redis hangs
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "max_connections": max(
            128, 4 * settings.worker_concurrency
        ),  # with fewer connections than threads, an acknowledgement can fail
    }


def _broker_url(settings: Settings) -> str:
    """Return the URL without its query: `?ssl_cert_reqs=none` in the query would override broker_use_ssl.

    It has user and password also if a file has them: Flower's own client knows only the URL. Our connections
    use the CREDENTIALS of _transport_options instead (kombu then ignores those of the URL)."""
    return urlunsplit(urlsplit(settings.redis_url.get_secret_value())._replace(query="", fragment=""))


def _tls(settings: Settings) -> dict[str, object] | None:
    """Return kombu's TLS options. For rediss:// they are always a dict: True means plaintext, and rediss://
    alone does not verify the server (celery.md §0.4)."""
    if urlsplit(settings.redis_url.get_secret_value()).scheme != "rediss":
        return None
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(settings.redis_ca_file) if settings.redis_ca_file else None,
    }
