from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(directory, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=environment,
    )


def test_imports_go_down_only(root):
    found = lint(root)

    assert found.returncode == 0, found.stdout[-4000:]


@pytest.fixture
def small_house(root, tmp_path):
    """A house of empty modules under our own contracts, to build a breach into."""
    settings = (root / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(settings[settings.index("[tool.importlinter]") :])
    upper = (
        "cli runtime views upkeep runs steps issuers certificates renewal controller client home dns01 "
        "http01 acme state kube"
    )
    lower = "http budgets crypto settings observe contract model clock errors version testing"
    for package in [
        "certmill",
        "tasks",
        "schedules",
        "workers",
        *(f"certmill/{name}" for name in f"{upper} {lower}".split()),
    ]:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    providers = tmp_path / "certmill" / "dns01" / "providers"
    providers.mkdir()
    for name in ("__init__", "cloudflare", "rfc2136"):
        (providers / f"{name}.py").write_text("")
    for path in (root / "certmill" / "runs").iterdir():
        if path.suffix == ".py":
            (tmp_path / "certmill" / "runs" / path.name).write_text("")
        elif (path / "__init__.py").exists():
            (tmp_path / "certmill" / "runs" / path.name).mkdir()
            (tmp_path / "certmill" / "runs" / path.name / "__init__.py").write_text("")
    return tmp_path


def test_the_small_house_stands(small_house):
    found = lint(small_house)

    assert found.returncode == 0, found.stdout[-4000:]


@pytest.mark.parametrize(
    ("file", "breach", "contract"),
    [
        ("certmill/state/records.py", "import certmill.runs", "Floors inside the engine"),
        ("certmill/steps/step.py", "import certmill.runs.engine", "A run: engine > steps"),
        ("certmill/certificates/again.py", "import certmill.steps", "A run: engine > steps"),
        ("certmill/http/api.py", "import certmill.acme", "Floors inside the engine"),
        ("certmill/http01/probe.py", "import certmill.dns01", "Floors inside the engine"),
        ("certmill/helpers.py", "", "Floors inside the engine"),
        ("certmill/steps/step.py", "import kombu", "No Celery in the engine"),
        ("certmill/home/cache.py", "import redis", "Redis only in state"),
        ("certmill/acme/orders.py", "import pydantic", "pydantic only at the edge"),
        ("certmill/steps/step.py", "import acme", "The acme library only in acme"),
        (
            "certmill/dns01/providers/rfc2136.py",
            "import certmill.dns01.providers.cloudflare",
            "Providers do not know each other",
        ),
        (
            "certmill/runtime/lab.py",
            "import compose.servers",
            "Shipped code knows neither tests nor the demo's servers",
        ),
        ("certmill/runtime/lab.py", "import certmill.testing", "Nothing that runs uses the fakes"),
        ("tasks/steps.py", "import workers", "workers > schedules > tasks > engine"),
    ],
)
def test_each_breach_is_seen(small_house, file, breach, contract):
    (small_house / file).write_text(f"{breach}\n")

    found = lint(small_house)

    assert found.returncode == 1, found.stdout[-2000:]
    broken = [line for line in found.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), textwrap.indent(found.stdout[-2000:], "  ")
