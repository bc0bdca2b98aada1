"""The `certmill` command for people and scripts: apply, get, describe, delete, request, renew,
revoke, account.

It uses the home and Redis, as the services do, and starts no process. `app` declares the commands without
heavy imports; the module of a command is imported when the command runs. Forbidden: decisions that belong to
the pipeline, direct calls to Redis, and printing a Secret's values unless the user requests them.
"""

from __future__ import annotations

from certmill.cli.app import main

__all__ = ["main"]
