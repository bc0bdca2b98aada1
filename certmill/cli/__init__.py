"""The `certmill` command for people and scripts: apply, get, describe, delete, request, renew.

It works on the home and on Redis, as the services do, and starts no process. `app` declares the commands and
imports nothing heavy; the module of a command is imported when it is called. Forbidden: deciding what the
pipeline decides, Redis itself, a Secret's value unasked."""

from __future__ import annotations

from certmill.cli.app import main

__all__ = ["main"]
