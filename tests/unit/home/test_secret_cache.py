"""A Secret is read from the cache while nothing in its directory has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from certmill.home.directory.home import DirectoryHome
from certmill.home.directory.secret_cache import SecretCache
from certmill.home.directory.secret_files import SecretFiles
from tests.unit.home.samples import pair


@pytest.fixture
def directory(home: DirectoryHome, root: Path) -> Path:
    home.write_secret(pair(1))
    return root / "secrets" / "default" / "web"


def cache_with(directory: Path, home: DirectoryHome, *, later_seconds: float = 10.0) -> SecretCache:
    """A cache that reads this Secret so long after it was written."""
    cache = SecretCache(now=lambda: time.time() + later_seconds)
    before = cache.state_of(str(directory))
    held = home._secrets.read("default", "web")
    assert held is not None
    cache.put(str(directory), held, before=before)
    return cache


def test_an_unchanged_secret_is_not_read_again(home: DirectoryHome, directory: Path) -> None:
    found = cache_with(directory, home).get(str(directory))

    assert found is not None
    assert found.secret == pair(1)


def test_a_secret_that_was_written_a_moment_ago_is_read_again(home: DirectoryHome, directory: Path) -> None:
    assert cache_with(directory, home, later_seconds=0.5).get(str(directory)) is None


def edit_in_place(directory: Path) -> None:
    before = (directory / "tls.crt").read_bytes()
    (directory / "tls.crt").write_bytes(before[::-1])


def keep_times(directory: Path) -> None:
    """As `cp -p` and `rsync -t` do."""
    times = (directory / "tls.crt").stat()
    edit_in_place(directory)
    os.utime(directory / "tls.crt", ns=(times.st_atime_ns, times.st_mtime_ns))


def damage_metadata(directory: Path) -> None:
    (directory / "..data" / "..metadata.json").write_text("{")


@pytest.mark.parametrize(
    "change",
    [
        edit_in_place,
        keep_times,
        damage_metadata,
        lambda directory: (directory / "tls.key").unlink(),
        lambda directory: (directory / "ca.crt").write_bytes(b"another key"),
    ],
    ids=["edited in place", "edited with its old times", "metadata", "a key removed", "a key added"],
)
def test_a_secret_that_a_person_changes_is_read_again(
    home: DirectoryHome, directory: Path, change: Callable[[Path], object]
) -> None:
    cache = cache_with(directory, home)

    change(directory)

    assert cache.get(str(directory)) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda directory: (directory / "tls.crt").write_bytes(b"another chain"),
        damage_metadata,
        lambda directory: (directory / "ca.crt").write_bytes(b"another key"),
    ],
    ids=["edited in place", "metadata", "a key added"],
)
def test_a_secret_that_changes_after_its_read_is_not_stored(
    home: DirectoryHome, directory: Path, change: Callable[[Path], object]
) -> None:
    """The file server's clock is 10 s behind: by its times the change is not recent."""
    cache = SecretCache(now=lambda: time.time() + 10.0)
    before = cache.state_of(str(directory))
    held = home._secrets.read("default", "web")
    assert held is not None

    change(directory)
    cache.put(str(directory), held, before=before)

    assert cache.get(str(directory)) is None


def test_a_new_version_is_read(home: DirectoryHome, directory: Path) -> None:
    cache = cache_with(directory, home)

    home.write_secret(pair(2))

    assert cache.get(str(directory)) is None


def test_the_home_reads_through_its_cache(home: DirectoryHome, directory: Path) -> None:
    files: SecretFiles = home._secrets
    files._cache = SecretCache(now=lambda: time.time() + 10.0)

    assert files.read("default", "web") is files.read("default", "web")
