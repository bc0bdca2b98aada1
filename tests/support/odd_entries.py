"""Entries of a directory that are no ordinary file, and a process that lacks something."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ODD_ENTRIES = {
    "manifests/sub.yaml": "is not a file",
    "manifests/pipe.yaml": "is not a file",
    "manifests/gone.yaml": "is a link that leads nowhere",
    "manifests/itself.yaml": "is a link that leads to itself: remove it",
    "manifests/long.yaml": "is a link to a name that is too long: remove it",
    "manifests/through.yaml": "is a link that leads nowhere: remove it",
    "manifests/socket.yaml": "is not a file but a socket or a device: remove it",
}
"""What `make_odd_entries` makes, and what is said of each."""


def make_odd_entries(directory: Path) -> None:
    (directory / "sub.yaml").mkdir()
    os.mkfifo(directory / "pipe.yaml")
    (directory / "gone.yaml").symlink_to("nowhere")
    (directory / "itself.yaml").symlink_to("itself.yaml")
    (directory / "long.yaml").symlink_to("x" * 300)
    (directory / "through.yaml").symlink_to("/dev/null/below")
    make_socket(directory / "socket.yaml")


def make_socket(path: Path) -> None:
    """Bound by a relative name: the path of a test may be longer than a socket's may be."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """Nobody may read this file, not even root, who gives up the right to for as long."""
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        open_to_all(path)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o600)


def open_to_all(path: Path) -> None:
    """Let another user come to this file."""
    for directory in path.parents:
        if directory.owner() == "root" and directory.stat().st_mode & 0o077 == 0:
            directory.chmod(0o755)


@contextmanager
def no_file_descriptors() -> Iterator[None]:
    """The process may open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
