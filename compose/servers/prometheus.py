"""Runs Prometheus from PATH with the given rules and targets, and promtool, which checks and tests rules."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from compose.servers import MissingServer
from compose.servers.command import run
from compose.servers.ports import answers, free_port, start_on_free_ports
from compose.servers.process import Server, ServerProcess

_HOW = "apt-get install prometheus"
_TIMEOUT_SECONDS = 10.0


def find_prometheus(program: str = "prometheus") -> Path:
    """The path of the program. Raises MissingServer."""
    found = shutil.which(program)
    if found is None:
        raise MissingServer(program, _HOW)
    return Path(found)


def promtool(*arguments: str | Path) -> str:
    """Run promtool. Returns its output. Raises MissingServer, and ServerFailed with promtool's message."""
    return run(find_prometheus("promtool"), arguments)


@dataclass(kw_only=True)
class Prometheus(Server):
    """A Prometheus in `directory` that scrapes and evaluates every second. `targets`: job → list of
    host:port."""

    directory: Path
    targets: Mapping[str, Sequence[str]]
    rules: Mapping[str, Any] = field(default_factory=dict)
    """The content of a rules file."""
    port: int = field(default=0, init=False)
    _process: ServerProcess = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._process = ServerProcess("prometheus", log=self.directory / "prometheus.log")

    def start(self) -> None:
        """Start it. Returns when it answers. Raises MissingServer, ServerFailed."""
        program = find_prometheus()
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "rules.yaml").write_text(yaml.safe_dump(dict(self.rules)))
        jobs = [
            {"job_name": job, "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
            for job, targets in self.targets.items()
        ]
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": jobs,
        }
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))

        def start() -> None:
            self.port = free_port()
            options = [
                f"--config.file={self.directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ]
            self._process.start([program, *options], answers=lambda: answers(self.port))

        start_on_free_ports(start, fixed=False)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query: the samples of its vector, each {"metric": labels, "value": [time,
        text]}.

        Raises urllib.error.HTTPError if the expression is wrong.
        """
        return list(self._get("query", query=expression)["result"])

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {
            one["labels"]["alertname"] for one in self._get("alerts")["alerts"] if one["state"] == "firing"
        }

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
            return dict(json.load(answer)["data"])
