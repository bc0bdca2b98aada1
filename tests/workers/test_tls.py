"""A broker behind TLS, end to end: the right one is used, one that cannot be verified is not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import trustme

from compose.servers import require
from compose.servers.ports import free_port
from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until


def _certificate(directory: Path, name: str) -> Path:
    """The root of a new CA, in a file; beside it a chain for 127.0.0.1 (`.chain`) and its key (`.key`)."""
    ca = trustme.CA()
    server = ca.issue_cert("127.0.0.1")
    file = directory / f"{name}.pem"
    ca.cert_pem.write_to_path(file)
    server.private_key_pem.write_to_path(file.with_suffix(".key"))
    for part in server.cert_chain_pems:
        part.write_to_path(file.with_suffix(".chain"), append=True)
    return file


@pytest.fixture
def tls_port(server: Server, tmp_path: Path) -> int:
    """The server again, with a TLS port too."""
    require("redis-server")  # the bundled Valkey may be built without TLS
    file, port = _certificate(tmp_path, "redis"), free_port()
    server.kill()
    server.arguments = (
        *(
            "--tls-port",
            str(port),
            "--tls-cert-file",
            str(file.with_suffix(".chain")),
            "--tls-key-file",
            str(file.with_suffix(".key")),
        ),
        *("--tls-ca-cert-file", str(file), "--tls-auth-clients", "no"),
    )
    server.start()
    return port


def test_a_worker_works_over_tls(processes: Processes, server: Server, tls_port: int, tmp_path: Path) -> None:
    url, ca = f"rediss://127.0.0.1:{tls_port}/0?ssl_cert_reqs=none", str(tmp_path / "redis.pem")
    processes.start(
        "celery",
        "-A",
        "probe_app",
        "worker",
        log="worker.log",
        CERTMILL_REDIS_URL=url,
        CERTMILL_REDIS_CA_FILE=ca,
    )

    with server.client as client:
        client.lpush("certmill.steps", item("certificate.validate", ["default/web"]))

    until(lambda: ran(server), what=processes.log)


def test_a_worker_does_not_speak_to_a_server_it_cannot_verify(
    processes: Processes, server: Server, tls_port: int, tmp_path: Path
) -> None:
    url, ca = f"rediss://127.0.0.1:{tls_port}/0?ssl_cert_reqs=none", str(_certificate(tmp_path, "other"))
    worker = processes.start(
        "celery",
        "-A",
        "probe_app",
        "worker",
        log="worker.log",
        CERTMILL_REDIS_URL=url,
        CERTMILL_REDIS_CA_FILE=ca,
    )

    with server.client as client:
        client.lpush("certmill.steps", item("certificate.validate", ["default/web"]))

    until(lambda: "CERTIFICATE_VERIFY_FAILED" in processes.log(), what=processes.log)
    threading.Event().wait(2.0)
    assert not ran(server)
    assert worker.poll() is None
