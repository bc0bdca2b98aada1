"""One tenant, with rights in a namespace of its own only, does what it can to keep all others waiting: they are issued meanwhile."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time

import pytest

TENANTS = 120
QUICK_SECONDS = 15


class Tarpit:
    """Takes every connection, and never says a word."""

    def __enter__(self):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}/directory"
        self.taken = []
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        return self

    def _take(self):
        with contextlib.suppress(OSError):
            while True:
                self.taken.append(self._socket.accept()[0])

    def __exit__(self, *exception):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for one in self.taken:
            one.close()


@pytest.fixture
def victim(cluster):
    return cluster.make_namespace(f"victim-{secrets.token_hex(4)}")


def issued_within(cluster, victim, seconds):
    began = time.monotonic()
    cluster.apply_both(victim, "web")
    cluster.wait_ready(victim, "web", seconds=seconds)
    return time.monotonic() - began


def test_issuers_whose_ca_never_answers_hold_up_nobody_else(cluster, namespace, victim):
    with Tarpit() as tarpit:
        for number in range(TENANTS):
            spec = {"acme": cluster.acme(cluster.rfc2136(), server=tarpit.url, privateKeySecretRef={"name": f"key-{number}"})}
            issuer = {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": f"slow-{number}"}, "spec": spec}
            cluster.apply(issuer, namespace)
            cluster.apply_certificate(
                namespace, f"web-{number}", f"w{number}.{namespace}.example.test", issuerRef={"name": f"slow-{number}"}
            )
        cluster.until(lambda: len(tarpit.taken) >= 8, what=lambda: f"{len(tarpit.taken)} connections")

        assert issued_within(cluster, victim, 60) < QUICK_SECONDS


def test_hundreds_of_certificates_for_one_secret_and_for_anothers_host_hold_up_nobody_else(cluster, namespace, victim):
    (by_dns, by_http), nobody = cluster.names_of(victim, "web"), {"name": "nobody", "kind": "Issuer"}
    for number in range(TENANTS):
        cluster.apply_certificate(namespace, f"rival-{number}", f"r.{namespace}.example.test", secretName="one-tls", issuerRef=nobody)
        cluster.apply_certificate(namespace, f"thief-{number}", by_http if number % 2 else by_dns)

    assert issued_within(cluster, victim, 60) < QUICK_SECONDS
