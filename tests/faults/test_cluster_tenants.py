"""One tenant, with rights in a namespace of its own only, does what it can to keep all others waiting: they
are issued meanwhile."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading

import pytest

MANY = 60


class Tarpit:
    """Accepts every connection and never answers. `most`: the highest number of open connections."""

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
                for one in [
                    one for one in self._open if _is_ended(one)
                ]:  # connections that were closed earlier are removed first
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
    """Whether the other side has closed the connection; what it sent before is read."""
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


def test_issuers_whose_ca_never_answers_do_not_delay_others(cluster, namespace, victim):
    with Tarpit() as tarpit:
        for number in range(MANY):
            spec = {
                "acme": cluster.acme(
                    cluster.rfc2136(), server=tarpit.url, privateKeySecretRef={"name": f"key-{number}"}
                )
            }
            issuer = {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Issuer",
                "metadata": {"name": f"slow-{number}"},
                "spec": spec,
            }
            cluster.apply(issuer, namespace)
            cluster.apply_certificate(
                namespace,
                f"web-{number}",
                f"w{number}.{namespace}.example.test",
                issuerRef={"name": f"slow-{number}"},
            )
        cluster.until(lambda: tarpit.most >= 8, what=lambda: f"{tarpit.most} connections")

        cluster.apply_both(victim, "web")
        cluster.wait_ready(victim, "web", seconds=60)
    assert tarpit.most <= int(cluster.settings["worker_concurrency"]) * 3 // 4
