"""Real servers for the demo, the tests and the benchmark: Pebble, Redis, BIND and others. Each is a child
process on loopback and a context manager.

Forbidden: pytest, listening on an address other than 127.0.0.1, and writing outside the directory that the
caller gave or the cache of built servers. A server that is not installed raises MissingServer; the demo
prints it, and tests/conftest.py skips the test (in CI the test fails).
"""

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
# Directories where systems install servers, and which are not on every user's PATH.
_WELL_KNOWN = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
)


class MissingServer(Exception):
    """A server is not installed. The message says how to install it."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"{name} is not installed: {how}")
        self.name = name


class ServerFailed(Exception):
    """A server did not start, or ended by itself. The message has the end of its log."""


def require(name: str) -> Path:
    """The path of a server's program. Raises MissingServer, which says how to install it."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_WELL_KNOWN))
    if found is None:
        package = _APT.get(name, name)
        raise MissingServer(name, f"apt-get install {package} (or your system's package of it)")
    return Path(found)


def cache() -> Path:
    """The directory that stores built servers between runs: `servers` in CERTMILL_CACHE, else in
    XDG_CACHE_HOME/certmill, else in ~/.cache/certmill."""
    own = os.environ.get("CERTMILL_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "certmill"
    return base / "servers"
