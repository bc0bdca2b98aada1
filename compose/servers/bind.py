"""Runs BIND as the authoritative server of test zones, which accept DNS UPDATE (RFC 2136) with TSIG. Pebble
uses it as its resolver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from compose.servers import require
from compose.servers.ports import free_port, start_on_free_ports
from compose.servers.process import Server, ServerProcess

_TXT_SECONDS = 30.0

_OPTIONS = """
options {{
  directory "{directory}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile "{directory}/session.key";
  recursion no;
  allow-query {{ any; }};
  dnssec-validation no;
  minimal-responses no;
  notify no;
}};
controls {{ }};
"""


@dataclass(kw_only=True)
class Bind(Server):
    """A running named. Every name of every zone has the address 127.0.0.1. If a zone is below another one of
    `zones`, the upper zone delegates it."""

    directory: Path
    zones: Sequence[str] = ("example.test",)
    tsig: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Key name → (algorithm, for example hmac-sha256; secret in base64). Each key may update every zone."""
    secondaries: Mapping[str, str] = field(default_factory=dict)
    """Zone → address of a second name server on the same port. The caller runs that server."""
    port: int = field(default=0, init=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("named", log=self.directory / "named.log")

    @property
    def address(self) -> str:
        """host:port of the server."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server. A second start uses the same port and the zones as they were.

        Raises MissingServer, ServerFailed.
        """
        program, fixed = require("named"), self.port != 0

        def start() -> None:
            self.port = self.port if fixed else free_port()
            self._process.start(
                [program, "-f", "-g", "-c", self._configure(), "-n", "1"], answers=self._answers
            )

        start_on_free_ports(start, fixed=fixed)

    def txt(self, name: str) -> set[str]:
        """The current TXT values of a name. The query uses TCP, because a busy machine drops datagrams.

        Raises dns.exception.Timeout after _TXT_SECONDS, OSError.
        """
        answer = dns.query.tcp(
            dns.message.make_query(name, "TXT"), "127.0.0.1", port=self.port, timeout=_TXT_SECONDS
        )
        return {
            b"".join(record.strings).decode()
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.TXT
            for record in rrset
        }

    def _answers(self) -> bool:
        queries = [dns.message.make_query(zone, "SOA") for zone in self.zones]
        try:  # a query fails until named listens
            return all(
                dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.5).answer for query in queries
            )
        except (dns.exception.DNSException, OSError, EOFError):
            return False

    def _configure(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        keys = "".join(
            f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};\n'
            for name, (algorithm, secret) in self.tsig.items()
        )
        update = "".join(f'key "{name}"; ' for name in self.tsig) or "none; "
        zones = ""
        for zone in self.zones:
            file = self.directory / f"{zone}.zone"
            if not file.exists():
                file.write_text(self._zone(zone))
            zones += f'zone "{zone}" {{ type primary; file "{file}"; allow-update {{ {update}}}; }};\n'
        configuration = self.directory / "named.conf"
        configuration.write_text(_OPTIONS.format(directory=self.directory, port=self.port) + keys + zones)
        configuration.chmod(0o600)
        return configuration

    def _zone(self, zone: str) -> str:
        below = [other for other in self.zones if other.endswith(f".{zone}")]
        delegations = "".join(f"{other}. NS ns1.{other}.\nns1.{other}. A 127.0.0.1\n" for other in below)
        second = f"@ NS ns2\nns2 A {self.secondaries[zone]}\n" if zone in self.secondaries else ""
        return f"""$TTL 1
$ORIGIN {zone}.
@ SOA ns1 hostmaster 1 3600 600 86400 1
@ NS ns1
@ A 127.0.0.1
ns1 A 127.0.0.1
* A 127.0.0.1
{second}{delegations}"""
