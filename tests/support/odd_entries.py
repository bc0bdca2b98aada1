"""Directory entries that are not ordinary files, and processes without a right or without file
descriptors."""

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
"""What `make_odd_entries` creates, with the expected message for each entry."""


def make_odd_entries(directory: Path) -> None:
    (directory / "sub.yaml").mkdir()
    os.mkfifo(directory / "pipe.yaml")
    (directory / "gone.yaml").symlink_to("nowhere")
    (directory / "itself.yaml").symlink_to("itself.yaml")
    (directory / "long.yaml").symlink_to("x" * 300)
    (directory / "through.yaml").symlink_to("/dev/null/below")
    make_socket(directory / "socket.yaml")


def make_socket(path: Path) -> None:
    """Binds with a relative name, because the path of a test may be longer than a socket allows."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """While this lasts, the process cannot read the file, even as root."""
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
    """Give another user access to this file."""
    for directory in path.parents:
        if directory.owner() == "root" and directory.stat().st_mode & 0o077 == 0:
            directory.chmod(0o755)


@contextmanager
def no_file_descriptors() -> Iterator[None]:
    """While this lasts, the process cannot open any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
