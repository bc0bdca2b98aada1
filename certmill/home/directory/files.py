"""Files of a directory home: reads with a size cap, atomic and durable writes, locks between processes, and
OSError turned into HomeUnavailable."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from certmill.clock import Clock
from certmill.errors import HomeUnavailable, InvalidManifest
from certmill.home.layout import MAX_FILE_BYTES

_LOCK_STRIPES = 64
_LOCK_SECONDS = 10.0
_LOCK_PAUSE_SECONDS = 0.005
_ADVICE = {
    errno.ENOSPC: "the disk is full: free space",
    errno.EDQUOT: "the disk quota is used up: free space",
    errno.EFBIG: "a file may not grow so large: raise the file size limit of the process",
    errno.EROFS: "the file system is read-only: mount it writable",
    errno.EACCES: "permission denied: make the home belong to the user that certmill runs as",
    errno.EPERM: "permission denied: make the home belong to the user that certmill runs as",
    errno.EMFILE: "too many open files: raise the limit of the process",
    errno.ENFILE: "too many open files: raise the limit of the machine",
    errno.EIO: "the disk reports an error: check it",
    errno.ESTALE: "the file server lost it: mount it again",
}


NO_LINK = (
    "is a symbolic link, and Secrets are not written through links: put a directory in its place, or mount "
    "one there"
)
_DESCRIPTORS_ARE_PATHS = Path("/proc/self/fd").is_dir()


class TooLarge(Exception):
    """A file is larger than the cap."""


@contextmanager
def reaching(action: str, what: str) -> Iterator[None]:
    """Turn an OSError into HomeUnavailable, which says what failed (`read`, `write` …), where (relative to
    the home), and what to do."""
    try:
        yield
    except OSError as error:
        raise unavailable(action, what, error) from error


def unavailable(action: str, what: str, error: OSError) -> HomeUnavailable:
    """Return the HomeUnavailable for an OSError."""
    return HomeUnavailable(f"cannot {action} {what} in the home: {advice(error)}")


def advice(error: OSError) -> str:
    """Return what is wrong and what to do: stable text without a path."""
    return _ADVICE.get(error.errno or 0) or (error.strerror or type(error).__name__).lower()


def read_capped(path: Path | str) -> bytes | None:
    """Return the content of a regular file; None if it is not a regular file (a directory, a pipe). Raises
    TooLarge and OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > MAX_FILE_BYTES:
            raise TooLarge
        chunks = []
        left = MAX_FILE_BYTES + 1
        while left > 0 and (chunk := os.read(descriptor, left)):
            chunks.append(chunk)
            left -= len(chunk)
        if left <= 0:
            raise TooLarge
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def write_new(path: Path, content: bytes, *, durable: bool) -> os.stat_result:
    """Write a new file with mode 0600, and return its status. If `durable`, it is on the disk when this
    returns. Raises OSError, also if the file exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes, *, durable: bool) -> os.stat_result:
    """Replace the content of the file atomically. The caller has the lock, so a temporary file that a crash
    left is overwritten. Returns the status of the new file before the rename, which changes only its ctime.
    Raises OSError."""
    temporary = path.with_name(f".{path.name}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    try:
        written = write_new(temporary, content, durable=durable)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_directory(path.parent)
    return written


def sync_directory(path: Path) -> None:
    """Flush a directory's entries to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory (mode 0700) and its parents. They are on the disk when this returns. Raises
    OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    sync_directory(path.parent)


@contextmanager
def opened_directory(root: Path, *names: str) -> Iterator[Path]:
    """Yield a path to `root/<name>/<name>…`, created if it does not exist (mode 0700). The path leads to the
    same directory even if its names change.

    Neither `root` nor a directory below it may be a symbolic link: raises InvalidManifest, which names it.
    Raises OSError.
    """
    make_directory(root)
    descriptor = _open_below(None, str(root), (root.name,))
    try:
        for depth in range(1, len(names) + 1):
            with suppress(FileExistsError):
                os.mkdir(names[depth - 1], 0o700, dir_fd=descriptor)
                os.fsync(descriptor)
            parent = descriptor
            descriptor = _open_below(parent, names[depth - 1], (root.name, *names[:depth]))
            os.close(parent)
        yield Path(f"/proc/self/fd/{descriptor}") if _DESCRIPTORS_ARE_PATHS else root.joinpath(*names)
    finally:
        os.close(descriptor)


def first_link(root: Path, *names: str) -> str:
    """Return the name, within the home, of the first of `root` and the directories below it that is a
    symbolic link; "" if none is."""
    for depth in range(len(names) + 1):
        if root.joinpath(*names[:depth]).is_symlink():
            return "/".join((root.name, *names[:depth]))
    return ""


def _open_below(parent: int | None, name: str, shown: tuple[str, ...]) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=parent)
    except OSError:
        if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
            raise InvalidManifest(NO_LINK, source="/".join(shown)) from None
        raise


class Locks:
    """Locks by name between the threads and processes of a home. The number of lock files is fixed, so that
    none has to be removed."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._threads = tuple(threading.Lock() for _ in range(_LOCK_STRIPES))

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Acquire the lock of `name` for the `with` block. Raises HomeUnavailable if another owner does not
        release it within 10 s, and OSError. A thread may own only one lock at a time."""
        stripe = hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % _LOCK_STRIPES
        if not self._threads[stripe].acquire(timeout=_LOCK_SECONDS):
            raise _kept(name)
        try:
            descriptor = self._open(self._directory / f"{stripe:02d}")
            try:
                self._lock(descriptor, name)
                yield
            finally:
                os.close(descriptor)
        finally:
            self._threads[stripe].release()

    def _open(self, path: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            make_directory(self._directory)
            return os.open(path, flags, 0o600)

    def _lock(self, descriptor: int, name: str) -> None:
        waited = 0.0
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waited >= _LOCK_SECONDS:
                    raise _kept(name) from None
                self._clock.pause(_LOCK_PAUSE_SECONDS)
                waited += _LOCK_PAUSE_SECONDS
            else:
                return


def _kept(name: str) -> HomeUnavailable:
    return HomeUnavailable(
        f"another process has kept the lock of {name} in the home for {_LOCK_SECONDS:.0f} s: is it stopped?"
    )
