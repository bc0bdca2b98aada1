"""The entries of a Secret's directory: the current version, the keys that link to it, and the keys that a
user put there as plain files.

An entry that cannot be used (a socket, a link to itself, a file of another user) is a problem of this Secret
only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from certmill.errors import SecretUnusable
from certmill.home import layout
from certmill.home.directory.files import TooLarge, advice, read_capped
from certmill.model.identifiers import is_secret_key

DATA = "..data"
ODD = frozenset({errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors of an entry that is not a file and does not lead to one: a socket, a link to itself. Errors of a
disk or a mount are errors of the home."""
ODD_BY_HAND = ODD | {errno.ENOTDIR, errno.EACCES, errno.EPERM}
"""For a key that a user put there by hand, also these errors: certmill does not control its owner and its
links."""


def target_of(directory: Path) -> str:
    """Return the name of the current version; "" if there is none. A link that leads out of the directory
    does not count."""
    try:
        target = str((directory / DATA).readlink())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return target if target.startswith("..") and "/" not in target and target not in ("..", DATA) else ""


def keys_of(directory: Path, namespace: str, name: str) -> tuple[list[str], dict[str, bytes]]:
    """Return the keys that are links through `..data`, and the content of the keys that were put there by
    hand."""
    linked, by_hand = [], []
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if is_secret_key(entry.name):
            if entry.is_symlink() and is_our_link(Path(entry.path)):
                linked.append(entry.name)
            else:
                by_hand.append((entry.name, Path(entry.path)))
    return linked, contents_of(by_hand, namespace, name, expected_errors=ODD_BY_HAND)


def contents_of(
    files: Iterable[tuple[str, Path]], namespace: str, name: str, *, expected_errors: Collection[int] = ODD
) -> dict[str, bytes]:
    """Return the content of these files. A file that is gone, a directory and a pipe are left out. Raises
    SecretUnusable for a file whose error is in `odd`."""
    contents = {}
    for key, path in files:
        try:
            content = read_capped(path)
        except FileNotFoundError:
            continue
        except TooLarge:
            raise SecretUnusable(
                f"the key {key!r} of Secret {namespace}/{name} is larger than {layout.MAX_FILE_BYTES} bytes"
            ) from None
        except OSError as error:
            if error.errno not in expected_errors:
                raise
            raise SecretUnusable(
                f"the key {key!r} of Secret {namespace}/{name} cannot be read: {advice(error)}; remove it"
            ) from error
        if content is not None:
            contents[key] = content
    return contents


def is_our_link(path: Path) -> bool:
    try:
        return str(path.readlink()) == f"{DATA}/{path.name}"
    except OSError:
        return False
