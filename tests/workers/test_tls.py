"""A broker behind TLS, end to end: the right one is used, one that cannot be verified is not."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from compose.servers import require
from compose.servers.ports import free_port
from tests.support.processes import Processes, Server, item, ran
from tests.support.waiting import until


def _self_signed(directory: Path, name: str) -> Path:
    """A certificate for 127.0.0.1, its own root; its key lies beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(
            subject,
            subject,
            key.public_key(),
            x509.random_serial_number(),
            now,
            now + datetime.timedelta(days=1),
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = directory / f"{name}.pem"
    file.write_bytes(certificate.public_bytes(pem))
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def tls_port(server: Server, tmp_path: Path) -> int:
    """The server again, with a TLS port too."""
    require("redis-server")  # the bundled Valkey may be built without TLS
    file, port = _self_signed(tmp_path, "redis"), free_port()
    server.kill()
    server.arguments = (
        *(
            "--tls-port",
            str(port),
            "--tls-cert-file",
            str(file),
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
    url, ca = f"rediss://127.0.0.1:{tls_port}/0?ssl_cert_reqs=none", str(_self_signed(tmp_path, "other"))
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
