"""Real Redis servers and real Celery processes that tests start, kill and freeze, and messages as a
producer writes them."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import redis

from compose.servers.process import Child
from compose.servers.redis import RedisServer
from tests.support.preloaded import spawn_preloaded
from tests.support.waiting import until

CHECKOUT = Path(__file__).resolve().parents[2]
APPS = CHECKOUT / "tests" / "workers"
"""The directory of the probe app."""


@dataclass(kw_only=True)
class Server(RedisServer):
    """A RedisServer with its own client."""

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)


@dataclass
class Processes:
    """Celery processes of the probe app, with their logs."""

    server: Server
    directory: Path
    running: list[Child] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [os.environ.get("PYTHONPATH"), str(CHECKOUT), str(APPS)])
            ),
            "CERTMILL_HOME": str(self.directory / "home"),
            "CERTMILL_REDIS_URL": self.server.url,
            "CERTMILL_LOG_FORMAT": "json",
            "CERTMILL_WORKER_CONCURRENCY": "4",
            "PROBE_URL": self.server.url,
        }

    def start(self, *command: str, log: str, **environment: str) -> Child:
        with (self.directory / log).open("ab") as stream:
            process = spawn_preloaded(
                [sys.executable, "-m", *command],
                log=stream,
                environment={**self.environment(), **environment},
                directory=self.directory,
            )
        self.running.append(process)
        return process

    def worker(self, *flags: str, log: str = "worker.log", **environment: str) -> Child:
        """`celery -A probe_app worker`, ready."""
        process = self.start("celery", "-A", "probe_app", "worker", *flags, log=log, **environment)
        until(lambda: "ready." in self.log(log), what=lambda: f"the worker did not start: {self.log(log)}")
        return process

    def publish(self, certificate: str) -> None:
        """Publish a message of one step of a certificate."""
        with self.server.client as client:
            client.lpush("certmill.steps", item("certificate.validate", [certificate]))

    def log(self, name: str = "worker.log") -> str:
        file = self.directory / name
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def item(
    task: str,
    args: object,
    *,
    queue: str = "certmill.steps",
    embed: object = None,
    headers: object = None,
    **changes: object,
) -> bytes:
    """A message as a producer puts it into a list in Redis (Celery's protocol 2)."""
    task_id = str(uuid.uuid4())
    body = json.dumps([args, {}, embed]).encode()
    plain = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "root_id": task_id,
        "argsrepr": "SECRET",
        "kwargsrepr": "SECRET",
    }
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**plain, **headers} if isinstance(headers, dict) else plain,
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return json.dumps({**envelope, **changes}).encode()


def ran(server: Server) -> list[dict[str, object]]:
    """What the probe tasks have recorded."""
    with server.client as client:
        return [json.loads(line) for line in client.lrange("ran", 0, -1)]


def rejected(server: Server) -> list[list[str]]:
    """The refused requests that are stored."""
    with server.client as client:
        return [json.loads(line) for line in client.lrange("rejected", 0, -1)]
