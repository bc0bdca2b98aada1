"""The systemd units: accepted by systemd, hardened, and each starts a process that is there."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.conftest import ROOT

UNITS = sorted((ROOT / "compose" / "systemd").glob("*.service"))
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "StateDirectory": "certmill",
    "StateDirectoryMode": "0700",
    "UMask": "0077",
    "CapabilityBoundingSet": "",
}
PYTHON_DIRECTORY = Path(sys.executable).parent

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


def service(unit):
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(unit)
    return parser["Service"]


def test_there_is_a_unit_for_each_process_of_one_machine():
    names = {unit.name for unit in UNITS}

    assert names == {f"certmill-{name}.service" for name in ("beat", "flower", "responder", "worker@")}


@each_unit
def test_a_unit_is_hardened_and_starts_again(unit):
    options = service(unit)

    assert {name: options.get(name) for name in HARDENED} == HARDENED
    assert (options["User"], options["Restart"]) == ("certmill", "always")


@each_unit
def test_the_process_of_a_unit_is_there(unit):
    program, *arguments = service(unit)["ExecStart"].split()
    assert program.startswith("/opt/certmill/.venv/bin/")
    command = [PYTHON_DIRECTORY / Path(program).name, *arguments, "--help"]

    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert shown.returncode == 0, shown.stderr
    assert "usage" in shown.stdout.lower()


@each_unit
def test_systemd_accepts_a_unit(unit, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    here = (
        unit.read_text()
        .replace("/opt/certmill/.venv/bin", str(PYTHON_DIRECTORY))
        .replace("/opt/certmill", str(ROOT))
    )
    copy = tmp_path / unit.name.replace("@", "@1")
    copy.write_text(here)

    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (said.returncode, said.stderr) == (0, "")
