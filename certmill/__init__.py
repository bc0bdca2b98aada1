"""certmill: certificates from any ACME CA as a Celery pipeline.

For other services: `from certmill import Client`. Importing this package imports nothing else until a name is
used, and never Celery. The engine below is usable from a REPL; the processes are in `workers`. Forbidden in
this module: anything but the public names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certmill.version import __version__

if TYPE_CHECKING:
    from certmill.client import Client, Handle, Status

__all__ = ["Client", "Handle", "Status", "__version__"]


def __getattr__(name: str) -> object:
    if name in ("Client", "Handle", "Status"):
        from certmill import client

        return getattr(client, name)
    raise AttributeError(f"module 'certmill' has no attribute {name!r}")
