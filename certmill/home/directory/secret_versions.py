"""The versions in one Secret's directory (see `secret_files`): write a new one, switch `..data` to it, and
remove what is stale. The caller has the lock of the Secret."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from certmill.home.directory import secret_metadata
from certmill.home.directory.files import sync_directory, write_new
from certmill.home.directory.secret_entries import DATA, is_our_link, target_of
from certmill.home.ownership import Held

_NEXT_DATA = "..data_tmp"
_NEXT_LINK = "..link_tmp"


def switch_version(directory: Path, data: Mapping[str, bytes], held: Held) -> None:
    """Write a new version, link its keys, and switch `..data` to it."""
    version = directory / f"..{secrets.token_hex(8)}"
    try:
        version.mkdir(mode=0o700)
        for key, value in data.items():
            write_new(version / key, value, durable=True)
        write_new(version / secret_metadata.FILE, secret_metadata.encode(held), durable=True)
        sync_directory(version)
        _link(directory, [key for key in data if not os.path.lexists(directory / key)])
        sync_directory(directory)
        _replace_link(directory / DATA, directory / _NEXT_DATA, version.name)
    except OSError:
        shutil.rmtree(version, ignore_errors=True)
        raise
    _link(directory, [key for key in data if not is_our_link(directory / key)])
    sync_directory(directory)


def remove_stale(directory: Path) -> None:
    """Remove old versions, files that a crash left, and the links of removed keys."""
    target = target_of(directory)
    for entry in list(os.scandir(directory)):
        if entry.name in (DATA, target):
            continue
        stale = (
            entry.is_symlink()
            and is_our_link(Path(entry.path))
            and not os.path.lexists(directory / target / entry.name)
        )
        if stale or entry.name.startswith(".."):
            remove(Path(entry.path))


def _link(directory: Path, keys: list[str]) -> None:
    for key in keys:
        _replace_link(directory / key, directory / _NEXT_LINK, f"{DATA}/{key}")


def _replace_link(link: Path, temporary: Path, target: str) -> None:
    with suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
