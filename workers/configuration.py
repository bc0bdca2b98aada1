"""All of Celery's configuration, in one table, each line with its reason; and the app that carries it.

The values are those measured in the reference (celery.md §10). A worker, a beat and Flower started without a
flag have them all."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from celery import Celery
from kombu import Exchange, Queue

from certmill.contract import STEPS_QUEUE, TASKS_OF_QUEUE
from certmill.settings import Settings
from certmill.state.server.failover import FileCredentials
from workers.admin.exporter import Exporter
from workers.admin.liveness import Liveness
from workers.broker import transport
from workers.broker.guard import Rejected

if TYPE_CHECKING:
    from certmill.runtime import Runtime

Schedule = Mapping[str, Mapping[str, object]]


class App(Celery):
    """A Celery app whose guard has somewhere to keep what it refuses, and whose loops say that they turn, to
    its admin port."""

    control_cls = "workers.control:Control"
    events_cls = "workers.events:Events"

    on_rejected: Rejected
    liveness: Liveness
    exporter: Exporter
    runtime: Callable[[], Runtime]
    """The engine of this process, for its tasks (tasks.base)."""
    require_own_redis: Callable[[], None]
    """Raises OtherInstallation."""


def configured_app(settings: Settings, *, schedule: Schedule, on_rejected: Rejected) -> App:
    """The app without its tasks. Patches kombu's Redis transport in this process."""
    file, url = settings.redis_url_file, settings.redis_url.get_secret_value()
    transport.install(FileCredentials(file, url) if file is not None else None)
    app = App("certmill", set_as_current=False)  # a worker makes it current itself
    app.on_rejected = on_rejected
    app.liveness = Liveness()
    app.exporter = Exporter(settings, app.liveness)
    app.require_own_redis = lambda: None
    app.conf.update(table(settings, schedule))
    return app


def table(settings: Settings, schedule: Schedule) -> dict[str, Any]:
    """Celery's settings."""
    threads, broker = settings.worker_concurrency, _broker_url(settings)
    return {
        # -- the broker
        # ------------------------------------------------------------
        "broker_url": broker,
        # said thrice: a CELERY_BROKER_URL that is about somebody else's app must not part us from our records
        "broker_read_url": broker,
        "broker_write_url": broker,
        "broker_use_ssl": _tls(settings),
        "broker_transport_options": _transport_options(settings),
        "broker_pool_limit": threads + 8,  # connections for publishing: one a thread, and the main loop's
        "broker_connection_retry_on_startup": True,  # Redis may come up after us
        "broker_connection_max_retries": None,  # and may be away for an hour; the default gives up after 100
        "broker_connection_timeout": 5,
        # -- queues
        # ------------------------------------------------------------
        "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in TASKS_OF_QUEUE],
        "task_routes": {
            task: {"queue": name, "routing_key": name}
            for name, tasks in TASKS_OF_QUEUE.items()
            for task in tasks
        },
        "task_default_queue": STEPS_QUEUE,
        "task_create_missing_queues": False,  # `-Q typo` is an error, not a queue that nobody fills
        "worker_detect_quorum_queues": False,  # RabbitMQ's
        # -- messages
        # ------------------------------------------------------------
        "task_serializer": "json",
        "accept_content": ["json"],  # never pickle: a writer to the broker could run code
        "result_backend": None,  # the record is the result (design §2)
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_acks_late": True,  # a worker that stops gives back what it has not done
        "task_reject_on_worker_lost": False,  # True loops: nine starts in 8 s measured
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },  # a doorbell: due rings again
        # -- the worker
        # ------------------------------------------------------------
        # steps wait for networks: 32 threads in 55 MB do what 16 processes do in 460
        "worker_pool": "workers.continuation:ThreadPool",
        "worker_concurrency": threads,
        # what is taken is not reordered, and comes back late when its worker dies
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "workers.broker.guard:SafeConsumer",
        # 5.7 exits on a broken connection otherwise; and PUBLISH would control workers
        "worker_enable_remote_control": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # True ran tasks twice
        "worker_eta_task_limit": 100,  # the guard lets no ETA in; this is the second lock
        "worker_hijack_root_logger": False,  # logging is certmill.observe.log's
        "worker_redirect_stdouts": False,
        # -- what Flower shows
        # ------------------------------------------------------------
        "worker_send_task_events": True,
        # received says the same milliseconds later; it costs 0.35 ms CPU on 0.9 a publish
        "task_send_sent_event": False,
        # -- beat
        # ------------------------------------------------------------
        "beat_schedule": {name: dict(entry) for name, entry in schedule.items()},
        "beat_scheduler": "workers.scheduler:Scheduler",  # in memory: any number of beats run anywhere
        "beat_max_loop_interval": 1,  # ticks of one second
        "beat_enable_remote_control": False,
        # -- time
        # ------------------------------------------------------------
        "timezone": "UTC",
        "enable_utc": True,
    }


def _transport_options(settings: Settings) -> dict[str, object]:
    return {
        # Above the longest step. What comes back too early does no harm (a step that was claimed, a request
        # that was taken); a request that died with its worker waits as long as this.
        "visibility_timeout": int(max(120, 2 * settings.step_lease_seconds)),
        # with throttle 1: looked for every 5 s; Celery's defaults make that 100 s
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # steps first, but for every ninth turn
        "queue_order_strategy": "workers.broker.steps_first_cycle:StepsFirstCycle",
        "socket_timeout": 10,  # kombu's default waits for ever on a frozen Redis
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "max_connections": max(
            128, 4 * settings.worker_concurrency
        ),  # with fewer than threads, acknowledging can fail
    }


def _broker_url(settings: Settings) -> str:
    """Without its query: `?ssl_cert_reqs=none` there would win over broker_use_ssl."""
    return urlunsplit(urlsplit(settings.redis_url.get_secret_value())._replace(query="", fragment=""))


def _tls(settings: Settings) -> dict[str, object] | None:
    """kombu's TLS options. Always a dict: True means plaintext, and rediss:// alone verifies nobody
    (celery.md §0.4)."""
    if urlsplit(settings.redis_url.get_secret_value()).scheme != "rediss":
        return None
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(settings.redis_ca_file) if settings.redis_ca_file else None,
    }
