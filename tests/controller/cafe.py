"""The tutorial's manifests as they are printed, the café that they are for, and what its customers and its
owner see."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from compose.yaml_loader import load_documents

_TUTORIAL = Path(__file__).resolve().parent / "tutorial"
_SERVER = "server: https://acme-v02.api.letsencrypt.org/directory"
_HOST = "cert.example.com"
_TIMEOUT_SECONDS = 30
_PRODUCTS = ("tea", "coffee")

HTTP01_ISSUER = "1-clusterissuer-http01.yaml"
CLOUDFLARE_ISSUER = "2-clusterissuer-dns01-cloudflare.yaml"
INGRESS = "3-ingress.yaml"
VIRTUAL_SERVER = "4-virtualserver.yaml"


def manifests(name, lab, *, host="", token=""):
    """The documents of a file of the tutorial, with nothing changed but the CA, and host and token where they
    stand in it."""
    bundle = base64.b64encode(lab.pebble.ca_bundle).decode()
    changes = {
        _SERVER: f"server: {lab.pebble.directory_url}\n    caBundle: {bundle}",
        _HOST: host,
        "<the token>": token,
    }
    text = (_TUTORIAL / name).read_text()
    for old, new in changes.items():
        assert new or old not in text, f"{name} needs something for {old}"
        text = text.replace(old, new)
    return load_documents(text)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a customer was served; `certificate` in DER, b"" without TLS."""

    status: int
    body: str = ""
    location: str = ""
    certificate: bytes = b""


def ask(lab, host, path, *, tls=False):
    """One request to the front. Raises OSError when it is refused, the TLS handshake too (ssl.SSLError)."""
    stream = socket.create_connection(
        ("127.0.0.1", lab.tls_port if tls else lab.http_port), timeout=_TIMEOUT_SECONDS
    )
    try:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            stream = context.wrap_socket(stream, server_hostname=host)
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        response = http.client.HTTPResponse(stream)
        response.begin()
        body = response.read().decode()
        certificate = stream.getpeercert(binary_form=True) if tls else b""
        return Answer(
            status=response.status,
            body=body,
            location=response.getheader("Location", ""),
            certificate=certificate,
        )
    finally:
        stream.close()


def browse(lab, host, path):
    """A browser that is not picky about who signed: a redirect to https is followed."""
    answer = ask(lab, host, path)
    if answer.status == 301 and answer.location == f"https://{host}:{lab.tls_port}{path}":
        return ask(lab, host, path, tls=True)
    return answer


class Customers:
    """Ask for tea and coffee all the time, from the first that is served on, and remember all that was not
    served."""

    def __init__(self, lab, host):
        self.served = 0
        self.failures = set()
        self.certificates = []
        self._lab, self._host = lab, host
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._come, daemon=True)

    def __enter__(self):
        in_a_row = []

        def served_by_every_worker():
            """While nginx reloads, an old worker may still take a connection: what it has not served once is
            not new."""
            in_a_row[:] = [*in_a_row, True] if self._round() == set() else []
            return len(in_a_row) >= 10

        self._lab.until(
            served_by_every_worker, what=lambda: f"tea and coffee are not served: {self._round()}", pause=0.02
        )
        self._thread.start()
        return self

    def __exit__(self, *exception):
        if not any(exception):
            self._lab.until(lambda: self.served > 20, what="enough of them have come")
        self._stop.set()
        self._thread.join(60)

    def _come(self):
        while not self._stop.wait(0.05):
            self.failures |= self._round()

    def _round(self):
        """What went wrong with one tea and one coffee."""
        failures = set()
        for product in _PRODUCTS:
            try:
                answer = browse(self._lab, self._host, f"/{product}")
            except (OSError, http.client.HTTPException) as error:
                failures.add(repr(error))
                continue
            if (answer.status, product in answer.body) != (200, True):
                failures.add(f"{answer.status} {answer.body}")
            self.served += 1
            if answer.certificate not in self.certificates:
                self.certificates.append(answer.certificate)
        return failures
