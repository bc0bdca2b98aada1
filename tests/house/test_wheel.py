"""The wheel, as a service gets it: certmill alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile

import pytest


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel, built from the tree as it is."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        if os.environ.get("CI") == "true":
            pytest.fail("uv is not on PATH; run the tests by `make test`")
        pytest.skip("uv is not on PATH; `make test` finds one")
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run([uv, "build", "--wheel", "--out-dir", out], cwd=root, capture_output=True, text=True, check=False, timeout=110)
    assert built.returncode == 0, built.stderr[-2000:]
    (file,) = out.glob("*.whl")
    return zipfile.ZipFile(file)


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
    required = [line for line in wheel.read(metadata).decode().splitlines() if line.startswith("Requires-Dist:")]

    assert required
    assert not [line for line in required if "celery" in line or "kombu" in line or "flower" in line]
