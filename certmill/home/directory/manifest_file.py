"""One file of manifests/ as it is now: its objects, or why it cannot be used.

If one entry of the directory cannot be read (it is a socket, a pipe, a directory, a link to itself, not
readable), only this entry is a problem: the other files count. Errors of this process (no file descriptor is
left) or of the directory itself are errors of the home.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certmill.home import layout
from certmill.home.base import Manifest, Problem
from certmill.home.directory import documents
from certmill.home.directory.documents import Key
from certmill.home.directory.files import TooLarge, advice, reaching, read_capped

NOT_READ: Final = -1
"""The signature of a file that could not be read. `hash` never returns it, so the file is read again at each
check."""

_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Errors of this process or machine: they say nothing about the file."""
_DENIED: Final = "cannot be read: permission denied; give the user that certmill runs as the right to read it"
_ADVICE: Final = {
    errno.ELOOP: "is a link that leads to itself: remove it",
    errno.ENAMETOOLONG: "is a link to a name that is too long: remove it",
    errno.ENXIO: "is not a file but a socket or a device: remove it",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOTDIR: "is a link that leads nowhere: remove it",
}
_NONE_BROKEN: Mapping[Key, Problem] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An object of a document, and a digest of the document."""

    value: Manifest
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """The content of a file. `signature` changes when the file does. `broken` has its objects that cannot be
    used, and why."""

    signature: int
    written_ns: int
    objects: Mapping[Key, Kept]
    broken: Mapping[Key, Problem]
    problems: tuple[Problem, ...]

    @property
    def is_unreadable(self) -> bool:
        """Whether the file could not be read at all, so that not even the keys of its objects are known."""
        return bool(self.problems) and not self.objects and not self.broken


def source_of(name: str) -> str:
    """Return the name of the file for messages: bytes that are not UTF-8 and control characters are written
    as escapes."""
    if name.isprintable():
        return f"manifests/{name}"
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "manifests/" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def reason_of(error: OSError, directory: str) -> str:
    """Return what is wrong with the file, and what to do; "" if the error is about this process and not about
    the file.

    Raises OSError if the directory itself cannot be reached.
    """
    if error.errno in _OURS:
        return ""
    os.stat(f"{directory}/.")  # noqa: PTH116 - Path drops the dot, by which also the right to search is checked
    return _ADVICE.get(error.errno or 0) or f"cannot be read: {advice(error)}"


def read_file(directory: str, name: str, known: ManifestFile | None) -> ManifestFile | None:
    """Return the file, parsed only if it differs from `known`; None if it is gone. Raises HomeUnavailable for
    an error that is not about the file."""
    path, source = f"{directory}/{name}", source_of(name)
    with reaching("read", source):
        try:
            status = os.stat(path)  # noqa: PTH116 - a survey does this for every file, and a look-up for its own
            signature = _signature(status)
            if known is not None and known.signature == signature:
                return known
            return _parsed(path, source, signature, status.st_mtime_ns, known)
        except FileNotFoundError:
            is_link = os.path.islink(path)  # noqa: PTH114 - as above
            return _unusable(NOT_READ, known, source, "is a link that leads nowhere") if is_link else None
        except OSError as error:
            reason = reason_of(error, directory)
            if not reason:
                raise
            return _unusable(NOT_READ, known, source, reason)


def written_file(
    directory: str, name: str, key: Key, value: Manifest, document: str, *, written: os.stat_result
) -> ManifestFile | None:
    """Return the file that this process has just written, with this document only. It is not parsed.

    `written` is the status that `replace_file` returned. None if a user has replaced, edited or removed the
    file since: the caller must read it. Raises OSError.
    """
    try:
        status = os.stat(f"{directory}/{name}")  # noqa: PTH116 - as in read_file
    except FileNotFoundError:
        return None
    if _content_of(status) != _content_of(written):
        return None
    return ManifestFile(
        signature=_signature(status),
        written_ns=status.st_mtime_ns,
        objects={key: Kept(value=value, digest=layout.digest(document))},
        broken=_NONE_BROKEN,
        problems=(),
    )


def _signature(status: os.stat_result) -> int:
    return hash((status.st_ctime_ns, *_content_of(status)))


def _content_of(status: os.stat_result) -> tuple[int, int, int]:
    """Return what a rename does not change: it changes the ctime."""
    return status.st_mtime_ns, status.st_size, status.st_ino


def _parsed(
    path: str, source: str, signature: int, written_ns: int, known: ManifestFile | None
) -> ManifestFile:
    try:
        content = read_capped(path)
        text = None if content is None else content.decode()
    except TooLarge:
        return _unusable(signature, known, source, f"is larger than {layout.MAX_FILE_BYTES} bytes; split it")
    except UnicodeDecodeError:
        return _unusable(signature, known, source, "is not UTF-8")
    if text is None:
        return _unusable(signature, known, source, "is not a file")
    read = documents.read(text, source=source)
    objects = {
        key: Kept(value=document.value, digest=layout.digest(document.text))
        for key, document in read.objects.items()
    }
    return ManifestFile(
        signature=signature,
        written_ns=written_ns,
        objects=objects,
        broken=read.broken or _NONE_BROKEN,
        problems=read.problems,
    )


def _unusable(signature: int, known: ManifestFile | None, source: str, message: str) -> ManifestFile:
    """Return a file that cannot be read now. The objects that it had before are invalid until it can be read,
    and not gone."""
    before = {*known.objects, *known.broken} if known else set()
    problem = Problem(source=source, message=message)
    written_ns = known.written_ns if known else 0
    return ManifestFile(
        signature=signature,
        written_ns=written_ns,
        objects={},
        broken=dict.fromkeys(before, problem),
        problems=(problem,),
    )
