"""What a worker process does about its memory, in processes of their own: malloc's options last as long as a
process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

_THREADS = 12
_SCRIPT = f"""
import ctypes, sys, threading
from workers.memory import limit_arenas
print("limited" if limit_arenas() else "not limited")
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier({_THREADS})
def allocate():
    together.wait()
    libc.malloc(ctypes.c_size_t(50_000))
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range({_THREADS})]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_info"), reason="this C library has no arenas"
)


def arenas(tmp_path, **environment):
    """(what limit_arenas answered, the arenas that a dozen threads then have)."""
    report = tmp_path / "malloc.xml"
    told = subprocess.run(
        [sys.executable, "-c", _SCRIPT, report],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return told.stdout.strip(), report.read_text().count("<heap nr=")


def test_all_threads_share_two_arenas(tmp_path):
    told, count = arenas(tmp_path)

    assert told == "limited"
    assert count <= 2


@pytest.mark.parametrize(
    "own", [{"MALLOC_ARENA_MAX": "5"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=5"}], ids=str
)
def test_an_operators_own_number_of_arenas_counts(tmp_path, own):
    told, count = arenas(tmp_path, **own)

    assert told == "not limited"
    assert count > 2
