"""Limits the memory and CPU of a worker process: the garbage collector of Python, and the arenas of
malloc."""

from __future__ import annotations

import ctypes
import gc
import os
from typing import Final

_COLLECT_AFTER: Final = (
    20_000,
    20,
    50,
)  # young objects, and collections of each generation; Celery creates thousands of short-lived ones a second
_M_ARENA_MAX: Final = -8  # mallopt(3); malloc.h of glibc
_ARENAS: Final = 2
_ARENAS_VARIABLE: Final = "MALLOC_ARENA_MAX"
_TUNABLES_VARIABLE: Final = "GLIBC_TUNABLES"
_ARENAS_TUNABLE: Final = "glibc.malloc.arena_max"


def limit_arenas() -> bool:
    """Let all threads share two arenas of malloc. Call it before the threads start. Returns False if the C
    library has no such option (musl), or if the operator has set a number.

    By default glibc gives threads up to eight arenas for each core. Memory that one of 32 threads has freed
    stays in its arena, and the process grows for days (20,000 issuances: 15 MB; with two arenas 2 MB). The
    number of the operator has priority: MALLOC_ARENA_MAX, or glibc.malloc.arena_max in GLIBC_TUNABLES."""
    if _ARENAS_VARIABLE in os.environ or _ARENAS_TUNABLE in os.environ.get(_TUNABLES_VARIABLE, ""):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, _ARENAS) == 1


def quieten_collector() -> None:
    """Exclude all objects that are loaded now from garbage collection, and collect less often. They stay for
    the life of the process, so the collector need not check them again for every few hundred objects of a
    message."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
