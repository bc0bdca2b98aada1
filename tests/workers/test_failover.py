"""A worker and a beat outlive a Redis that cannot serve them for a while, and a password that is changed."""

from __future__ import annotations

import time

from tests.support.processes import Processes, Server, ran
from tests.support.waiting import until


def works(processes: Processes, server: Server, certificate: str) -> None:
    """A step that is published now is done."""
    processes.publish(certificate)
    until(lambda: [line for line in ran(server) if line["args"] == [certificate]], what=processes.log)


def test_a_worker_outlives_a_fail_over(processes: Processes, server: Server) -> None:
    worker = processes.worker()
    works(processes, server, "default/before")

    with server.client as client:
        for _ in range(2):
            client.replicaof("127.0.0.1", "1")  # its BRPOP ends with UNBLOCKED, what it writes with READONLY
            time.sleep(3)
            client.replicaof("NO", "ONE")

    works(processes, server, "default/after")
    assert worker.poll() is None


def test_a_worker_that_starts_on_a_redis_that_is_full_goes_on_when_there_is_room(
    processes: Processes, server: Server
) -> None:
    with server.client as client:
        client.config_set("maxmemory", "1")
        worker = processes.start("celery", "-A", "probe_app", "worker", log="worker.log")
        until(lambda: "OutOfMemoryError" in processes.log(), what=processes.log)
        client.config_set("maxmemory", "0")

    works(processes, server, "default/after")
    assert worker.poll() is None


def test_a_beat_outlives_a_fail_over(processes: Processes, server: Server) -> None:
    beat = processes.start("celery", "-A", "probe_app", "beat", log="beat.log")
    with server.client as client:
        until(lambda: client.rpop("certmill.ticks"), what=lambda: processes.log("beat.log"))
        client.replicaof("127.0.0.1", "1")
        until(
            lambda: "beat.tick_not_sent" in processes.log("beat.log"), what=lambda: processes.log("beat.log")
        )
        client.replicaof("NO", "ONE")
        client.delete("certmill.ticks")

        until(lambda: client.rpop("certmill.ticks"), what=lambda: processes.log("beat.log"))
    assert beat.poll() is None
    assert "Traceback" not in processes.log("beat.log")


def test_a_password_that_is_changed_is_picked_up_without_a_restart(
    processes: Processes, server: Server
) -> None:
    file = processes.directory / "url"
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", ">first", "~*", "&*", "+@all")
        file.write_text(server.url.replace("redis://", "redis://worker:first@"))
        worker = processes.worker(CERTMILL_REDIS_URL="", CERTMILL_REDIS_URL_FILE=str(file))
        works(processes, server, "default/before")

        client.execute_command("ACL", "SETUSER", "worker", "resetpass", ">second")
        file.write_text(server.url.replace("redis://", "redis://worker:second@"))
        client.execute_command("CLIENT", "KILL", "USER", "worker")

    works(processes, server, "default/after")
    assert worker.poll() is None


def test_a_password_that_is_wrong_for_a_while_ends_no_worker(processes: Processes, server: Server) -> None:
    file = processes.directory / "url"
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", ">first", "~*", "&*", "+@all")
        file.write_text(server.url.replace("redis://", "redis://worker:first@"))
        worker = processes.worker(CERTMILL_REDIS_URL="", CERTMILL_REDIS_URL_FILE=str(file))

        client.execute_command("ACL", "SETUSER", "worker", "resetpass", ">second")
        client.execute_command("CLIENT", "KILL", "USER", "worker")
        time.sleep(4)
        file.write_text(server.url.replace("redis://", "redis://worker:second@"))

    works(processes, server, "default/after")
    assert worker.poll() is None
