"""The wheel, as a service gets it: certmill alone."""

from __future__ import annotations

import subprocess
import zipfile

import pytest


@pytest.fixture(scope="module")
def wheel(root, uv, tmp_path_factory):
    """The wheel, built from the tree as it is."""
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [uv, "build", "--wheel", "--out-dir", out],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (file,) = out.glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def alone(uv, wheel, tmp_path_factory):
    """The programs of an environment with nothing but the wheel and what it asks for."""
    place = tmp_path_factory.mktemp("alone") / "venv"
    for command in ([uv, "venv", place], [uv, "pip", "install", "--python", place, wheel.filename]):
        done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False, timeout=110)
        assert done.returncode == 0, done.stderr[-2000:]
    return place / "bin"


def test_the_wheel_alone_has_the_client_which_loads_no_celery_and_nothing_slow(alone):
    slow = "{'celery', 'kombu', 'redis', 'acme', 'pydantic'}"
    program = f"import sys; from certmill import Client; print(Client.__name__, {slow} & set(sys.modules))"

    said = subprocess.run(
        [alone / "python", "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd=alone
    )

    assert said.stdout.split() == ["Client", "set()"]


def test_alone_it_has_the_command(alone, tmp_path):
    command = [alone / "certmill", "get", "certificates"]

    said = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env={"CERTMILL_HOME": str(tmp_path)},
    )

    assert said.returncode == 0
    assert "no certificates found in namespace default" in said.stderr


def test_it_contains_certmill_and_its_metadata_only(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel.namelist()} == {"certmill"}


def test_it_carries_the_scripts_that_redis_runs(wheel, root):
    ours = {str(path.relative_to(root)) for path in (root / "certmill").rglob("*.lua")}

    assert ours <= set(wheel.namelist())


def test_it_is_typed_and_licensed(wheel):
    names = wheel.namelist()

    assert "certmill/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_it_needs_no_celery(wheel):
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required = [
        line for line in wheel.read(metadata).decode().splitlines() if line.startswith("Requires-Dist:")
    ]

    assert required
    assert not [line for line in required if "celery" in line or "kombu" in line or "flower" in line]
