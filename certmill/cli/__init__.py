"""The `certmill` command for people and scripts: apply, get, describe, delete, request, renew.

It works on the home and on Redis, as the services do, and starts no process. `app` declares the commands and imports nothing heavy; each command's
module is imported when it is called. Forbidden: deciding anything that the pipeline decides, Redis itself, printing the value of a Secret unasked.
"""

from __future__ import annotations

from certmill.cli.app import main

__all__ = ["main"]
