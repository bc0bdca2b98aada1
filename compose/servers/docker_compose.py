"""Loads a Compose file as `docker compose config` does, without Docker: by the Compose specification's own
Go library. The program is built once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compose.servers.build import go_build
from compose.servers.command import run


def find_compose_config() -> Path:
    """The path of the program; builds it if necessary. Raises MissingServer."""
    return go_build(Path(__file__).resolve().parent / "go" / "compose-config")


def compose_config(file: Path, environment: Path) -> dict[str, Any]:
    """The project in `file`, with the variables of the file `environment`, paths resolved and merges applied.

    Raises MissingServer, and ServerFailed with the reason if `file` does not follow the specification.
    """
    return dict(json.loads(run(find_compose_config(), [file, environment])))
