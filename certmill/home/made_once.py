"""A small file in the home that is created once, atomically, and then read by every process: the seal key,
the installation's id."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from certmill.errors import HomeUnavailable


def made_once(file: Path, content: Callable[[], str]) -> str:
    """Read the file; if there is none it is made now (0600), first under a name of its own: of two processes,
    only one's is ever seen.

    Raises HomeUnavailable.
    """
    try:
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = file.parent / f".{file.name}.{os.getpid()}.{threading.get_ident()}"
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(content())
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(made, file)
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise HomeUnavailable(
            f"cannot read or make {file.name} in the home: {reason}; see that the home is writable"
        ) from error
