"""Runs nginx for test names on two free loopback ports. Its configuration can be changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from compose.servers import require
from compose.servers.ports import answers, free_ports
from compose.servers.process import Server, ServerProcess

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 128; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server_names_hash_bucket_size 128;
  server {{ listen 127.0.0.1:{port} default_server; return 404; }}
  server {{ listen 127.0.0.1:{tls_port} ssl default_server; ssl_reject_handshake on; }}
{servers}
}}
"""


@dataclass(kw_only=True)
class Nginx(Server):
    """A running nginx. `configure` sets its `server` blocks in nginx' own syntax; `{port}` and `{tls_port}`
    in the text are replaced by its ports."""

    directory: Path
    port: int = 0
    tls_port: int = 0
    _servers: str = field(default="", init=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("nginx", log=self.directory / "nginx.log")

    def start(self) -> None:
        """Start it without server blocks, or start it again with those that it had. Raises MissingServer,
        ServerFailed."""
        program = require("nginx")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port = (
            one or free for one, free in zip((self.port, self.tls_port), free_ports(2), strict=True)
        )
        self._write(self._servers)
        files = (
            "-p",
            self.directory,
            "-c",
            self.directory / "nginx.conf",
            "-e",
            self.directory / "error.log",
        )
        self._process.start([program, *files], answers=lambda: answers(self.port))

    def configure(self, servers: str) -> None:
        """Replace the server blocks. nginx is reloaded only if they have changed."""
        if servers != self._servers:
            self._write(servers)
            self._servers = servers
            self._process.reload()

    def _write(self, servers: str) -> None:
        servers = servers.replace("{port}", str(self.port)).replace("{tls_port}", str(self.tls_port))
        text = _CONFIGURATION.format(
            directory=self.directory, port=self.port, tls_port=self.tls_port, servers=servers
        )
        (self.directory / "nginx.conf").write_text(text)
