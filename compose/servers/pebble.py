"""Runs Pebble, Let's Encrypt's small ACME server for tests, and its DNS server challtestsrv. Both are built
once and run on free loopback ports.

Pebble stores everything in memory (accounts and orders are lost at a restart), enforces no rate limits, and
rejects some good nonces on purpose.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from certmill.testing.localhost import make_local_tls
from compose.servers.build import go_install
from compose.servers.ports import answers, free_port, free_ports, start_on_free_ports
from compose.servers.process import Server, ServerProcess

VERSION = "2.10.1"
_MODULE = "github.com/letsencrypt/pebble/v2/cmd"
_TIMEOUT_SECONDS = 30.0


def find_pebble() -> Path:
    """The directory with `pebble` and `pebble-challtestsrv`; builds them if necessary. Raises
    MissingServer."""
    return go_install(
        f"pebble-{VERSION}", [f"{_MODULE}/pebble@v{VERSION}", f"{_MODULE}/pebble-challtestsrv@v{VERSION}"]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PebbleProfile:
    """A certificate profile that Pebble offers."""

    description: str
    validity_seconds: int = 90 * 86_400


@dataclass(kw_only=True)
class Pebble(Server):
    """A running Pebble. `dns` is the resolver (host:port) for validation. Without it Pebble uses the system's
    resolver, which does not resolve test names."""

    directory: Path
    dns: str | None = None
    http_port: int = 0
    """The port to which Pebble sends HTTP-01 requests; 0: a free port is chosen."""
    tls_port: int = 0
    eab: Mapping[str, str] | None = None
    """Key id → MAC key in base64url. If set, Pebble requires external account binding (RFC 8555, section
    7.3.4)."""
    profiles: Mapping[str, PebbleProfile] = field(default_factory=dict)
    nonce_reject: int = 5
    """Per cent of good nonces that Pebble rejects."""
    authz_reuse: int = 0
    """Per cent of identifiers whose valid authorization Pebble uses again."""
    strict: bool = False
    alternate_roots: int = 0
    chain_length: int = 1
    blocked: Sequence[str] = ()
    """Domains that Pebble refuses with rejectedIdentifier."""
    always_valid: bool = False
    """Every challenge is valid; Pebble sends no validation request."""
    validation_seconds: int = 0
    """The maximum of the random time that a validation takes, in seconds."""
    retry_after: tuple[int, int] = (0, 0)
    """Retry-After in seconds for authorizations and for orders; 0: no header."""
    key_algorithm: str = "ecdsa"
    port: int = field(default=0, init=False)
    management_port: int = field(default=0, init=False)
    ca_bundle: bytes = field(default=b"", init=False, repr=False)
    """PEM of the CA of Pebble's own HTTPS endpoints. For the CA of the issued certificates see roots()."""
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("pebble", log=self.directory / "pebble.log")

    @property
    def directory_url(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    @property
    def ca_file(self) -> Path:
        """The file that contains `ca_bundle`."""
        return self.directory / "pebble-ca.pem"

    @property
    def log(self) -> Path:
        return self.directory / "pebble.log"

    def start(self) -> None:
        """Start it. A second start uses the same ports; Pebble's memory is then empty. Raises MissingServer,
        ServerFailed."""
        program = find_pebble() / "pebble"
        self._make_tls()
        self.http_port = self.http_port or free_port()
        self.tls_port = self.tls_port or free_port()
        fixed = self.port != 0

        def start() -> None:
            if not fixed:
                self.port, self.management_port = free_ports(2)
            self._process.start(
                self._command(program), answers=self._answers, environment=self._environment()
            )

        start_on_free_ports(start, fixed=fixed)

    def restart(self) -> None:
        """Stop and start on the same ports. Accounts, orders and roots are lost, because Pebble stores them
        in memory."""
        self.stop()
        self.start()

    def roots(self) -> tuple[bytes, ...]:
        """PEM of the root of each chain; the default chain is first."""
        return tuple(self.management(f"/roots/{index}") for index in range(1 + self.alternate_roots))

    def status_of(self, serial: int) -> str:
        """`Valid` or `Revoked`: the status of a certificate that Pebble issued."""
        body = cast("dict[str, object]", json.loads(self.management(f"/cert-status-by-serial/{serial:x}")))
        return str(body["Status"])

    def set_renewal_info(self, certificate_pem: bytes, answer: str) -> None:
        """Set the literal `answer` that Pebble returns as renewalInfo (RFC 9773) for this certificate."""
        body = json.dumps({"certificate": certificate_pem.decode(), "ariResponse": answer}).encode()
        self.management("/set-renewal-info/", body)

    def management(self, path: str, body: bytes | None = None) -> bytes:
        """GET, or POST if there is a `body`, on the management interface. Raises urllib.error.URLError."""
        context = ssl.create_default_context(cadata=self.ca_bundle.decode())
        request = urllib.request.Request(f"https://127.0.0.1:{self.management_port}{path}", data=body)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=context) as response:  # noqa: S310
            return cast("bytes", response.read())

    def _make_tls(self) -> None:
        """Create the CA and the server's certificate once, so that clients still trust Pebble after a
        restart."""
        if self.ca_bundle:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        tls = make_local_tls()
        (self.directory / "pebble-key.pem").touch(mode=0o600)
        (self.directory / "pebble-key.pem").write_bytes(tls.key)
        (self.directory / "pebble-cert.pem").write_bytes(tls.certificate)
        self.ca_file.write_bytes(tls.ca)
        self.ca_bundle = tls.ca

    def _command(self, program: Path) -> list[str | Path]:
        configuration = self.directory / "pebble.json"
        configuration.write_text(json.dumps({"pebble": self._configuration()}, indent=2))
        command: list[str | Path] = [program, "-config", configuration]
        command += ["-dnsserver", self.dns] if self.dns else []
        return [*command, "-strict"] if self.strict else command

    def _configuration(self) -> dict[str, object]:
        return {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(self.directory / "pebble-cert.pem"),
            "privateKey": str(self.directory / "pebble-key.pem"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "externalAccountBindingRequired": self.eab is not None,
            "externalAccountMACKeys": dict(self.eab or {}),
            "domainBlocklist": list(self.blocked),
            "keyAlgorithm": self.key_algorithm,
            "retryAfter": {"authz": self.retry_after[0], "order": self.retry_after[1]},
            "profiles": {
                name: {"description": profile.description, "validityPeriod": profile.validity_seconds}
                for name, profile in self.profiles.items()
            },
        }

    def _environment(self) -> dict[str, str]:
        return {
            "PEBBLE_WFE_NONCEREJECT": str(self.nonce_reject),
            "PEBBLE_AUTHZREUSE": str(self.authz_reuse),
            "PEBBLE_VA_NOSLEEP": "0" if self.validation_seconds else "1",
            "PEBBLE_VA_SLEEPTIME": str(self.validation_seconds),
            "PEBBLE_VA_ALWAYS_VALID": "1" if self.always_valid else "0",
            "PEBBLE_ALTERNATE_ROOTS": str(self.alternate_roots),
            "PEBBLE_CHAIN_LENGTH": str(self.chain_length),
        }

    def _answers(self) -> bool:
        try:
            return bool(self.management("/roots/0")) and answers(self.port)
        except (urllib.error.URLError, OSError):
            return False


@dataclass(kw_only=True)
class ChallTestSrv(Server):
    """A DNS server that answers 127.0.0.1 for every name, unless another answer is set, and records the
    queries. The final dot of a name is optional."""

    directory: Path
    dns_port: int = field(default=0, init=False)
    management_port: int = field(default=0, init=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("pebble-challtestsrv", log=self.directory / "challtestsrv.log")

    @property
    def dns(self) -> str:
        """host:port, the value for Pebble's `dns`."""
        return f"127.0.0.1:{self.dns_port}"

    def start(self) -> None:
        """Start it with an empty memory. Raises MissingServer, ServerFailed."""
        program = find_pebble() / "pebble-challtestsrv"
        self.directory.mkdir(parents=True, exist_ok=True)

        def start() -> None:
            self.dns_port, self.management_port = free_ports(2)
            off = ["-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]
            listen = [
                "-dnsserver",
                self.dns,
                "-management",
                f"127.0.0.1:{self.management_port}",
                "-defaultIPv6",
                "",
            ]
            self._process.start(
                [program, *listen, *off],
                answers=lambda: answers(self.management_port) and answers(self.dns_port),
            )

        start_on_free_ports(start)

    def set_txt(self, name: str, value: str) -> None:
        """Add a TXT value at `name`."""
        self.post("/set-txt", {"host": _absolute(name), "value": value})

    def post(self, path: str, body: Mapping[str, object]) -> bytes:
        """POST to the management interface. Raises urllib.error.URLError."""
        url = f"http://127.0.0.1:{self.management_port}{path}"
        request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            return cast("bytes", response.read())


def _absolute(name: str) -> str:
    return f"{name.rstrip('.')}."
