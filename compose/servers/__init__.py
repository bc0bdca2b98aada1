"""Real servers for demo, tests and benchmark: Pebble, Redis, BIND … as child processes on loopback, each a
context manager.

No pytest in here: a server that is not installed is a MissingServer, which the demo prints, and which
tests/conftest.py turns into a skip (CI: a failure). Nothing here listens anywhere but on 127.0.0.1, and
nothing is written outside the directory that was given, but for the cache of built servers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_APT = {
    "named": "bind9",
    "redis-server": "redis-server",
    "chromium": "chromium",
    "nginx": "nginx-light",
    "chromedriver": "chromium-driver",
}
# Where systems keep servers that are not on everybody's PATH.
_WELL_KNOWN = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
)


class MissingServer(Exception):
    """A server is not installed. The message says how to get it."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"{name} is not installed: {how}")
        self.name = name


class ServerFailed(Exception):
    """A server did not start, or ended by itself. The message has the end of its log."""


def require(name: str) -> Path:
    """The path of a server's program. Raises MissingServer saying how to install it."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_WELL_KNOWN))
    if found is None:
        package = _APT.get(name, name)
        raise MissingServer(name, f"apt-get install {package} (or your system's package of it)")
    return Path(found)


def cache() -> Path:
    """Where built servers are kept between runs: CERTMILL_CACHE, else XDG_CACHE_HOME/certmill, else
    ~/.cache/certmill; in it, `servers`."""
    own = os.environ.get("CERTMILL_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "certmill"
    return base / "servers"
