"""One tenant, with rights in a namespace of its own only, does what it can to keep all others waiting: they are issued meanwhile."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading

import pytest

from certmill.kube.resources import CERTIFICATES, ISSUERS

TENANTS = 120


class Tarpit:
    """Takes every connection, and never says a word. `most`: how many it held at once."""

    def __enter__(self):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}/directory"
        self.most = 0
        self._open = []
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        return self

    def _take(self):
        with contextlib.suppress(OSError):
            while True:
                self._open.append(self._socket.accept()[0])
                for one in [one for one in self._open if _is_ended(one)]:  # whoever gave up did so before this one came
                    one.close()
                    self._open.remove(one)
                self.most = max(self.most, len(self._open))

    def __exit__(self, *exception):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for one in self._open:
            one.close()


def _is_ended(connection):
    """Whether the other side has closed it; what it said before is read."""
    try:
        while connection.recv(65_536, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@pytest.fixture
def victim(cluster):
    return cluster.make_namespace(f"victim-{secrets.token_hex(4)}")


@pytest.fixture
def attackers(cluster, namespace):
    """The namespace of who keeps others waiting; nothing of his is left to do afterwards."""
    yield namespace
    for resource in (CERTIFICATES, ISSUERS):
        for one in cluster.client.list(resource, namespace).items:
            cluster.client.delete(resource, namespace, one["metadata"]["name"])


def issue(cluster, victim):
    """A Certificate, while the attack goes on."""
    cluster.apply_both(victim, "web")
    cluster.wait_ready(victim, "web", seconds=60)


def test_issuers_whose_ca_never_answers_hold_up_nobody_else(cluster, attackers, victim):
    with Tarpit() as tarpit:
        for number in range(TENANTS):
            spec = {"acme": cluster.acme(cluster.rfc2136(), server=tarpit.url, privateKeySecretRef={"name": f"key-{number}"})}
            issuer = {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": f"slow-{number}"}, "spec": spec}
            cluster.apply(issuer, attackers)
            cluster.apply_certificate(
                attackers, f"web-{number}", f"w{number}.{attackers}.example.test", issuerRef={"name": f"slow-{number}"}
            )
        cluster.until(lambda: tarpit.most >= 8, what=lambda: f"{tarpit.most} connections")

        issue(cluster, victim)
    assert tarpit.most <= int(cluster.settings["worker_concurrency"]) * 3 // 4


def issued(cluster, namespace):
    """How many Certificates of a namespace have been."""
    return sum("revision" in one.get("status", {}) for one in cluster.client.list(CERTIFICATES, namespace).items)


def test_hundreds_of_certificates_for_one_secret_and_for_anothers_host_hold_up_nobody_else(cluster, attackers, victim):
    (by_dns, by_http), nobody = cluster.names_of(victim, "web"), {"name": "nobody", "kind": "Issuer"}
    for number in range(TENANTS):
        cluster.apply_certificate(attackers, f"rival-{number}", f"r.{attackers}.example.test", secretName="one-tls", issuerRef=nobody)
        cluster.apply_certificate(attackers, f"thief-{number}", by_http if number % 2 else by_dns)
    before = issued(cluster, attackers)

    issue(cluster, victim)

    assert issued(cluster, attackers) - before < TENANTS // 3
