"""Create a small file in the home once, atomically; every process then reads it. It is used for the seal key
and the installation's id."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from certmill.errors import HomeUnavailable


def made_once(file: Path, content: Callable[[], str]) -> str:
    """Return the content of the file; create the file (mode 0600) if it does not exist.

    The content is first written to a temporary file with a unique name. If two processes create the file at
    once, all processes see the content of only one of them. Raises HomeUnavailable.
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
            f"cannot read or make {file.name} in the home: {reason}; check that the home is writable"
        ) from error
