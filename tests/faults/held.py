"""A worker like any other, but that a test can hold: a step of a certificate stops where a file says so,
until the file is gone.

The file `<namespace>+<name>+<step>+<point>` in the directory of CERTMILL_HOLDS; the worker puts `.held`
beside it while it stands there. Points: `before-act`, the step is claimed and nothing done yet; `after-act`,
all is done and nothing committed yet."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from pathlib import Path

from certmill import settings as certmill_settings
from certmill.runtime import Runtime
from certmill.state.records import Records, Unclaimed
from workers.celery_app import make_app

HOLDS = Path(os.environ.get("CERTMILL_HOLDS", "."))
POINTS = ("before-act", "after-act")
_LONGEST_SECONDS = 60.0


def hold_file(directory: Path, certificate: str, step: str, point: str) -> Path:
    """The file that requests a hold."""
    return directory / f"{certificate.replace('/', '+')}+{step}+{point}"


class HeldRecords(Records):
    """Records whose calls wait as long as a test wants."""

    def __init__(self, client) -> None:
        super().__init__(client)
        self._at = threading.local()

    def claim(self, certificate, step, **options):
        claimed = super().claim(certificate, step, **options)
        if not isinstance(claimed, Unclaimed):
            self._at.step = step
            _stand(certificate, step, "before-act")
        return claimed

    def commit(self, certificate, **options):
        _stand(certificate, self._at.step, "after-act")
        return super().commit(certificate, **options)

    def advance(self, certificate, record, **options):
        _stand(certificate, self._at.step, "after-act")
        claimed = super().advance(certificate, record, **options)
        if claimed is not None:
            self._at.step = options["step"]
            _stand(certificate, options["step"], "before-act")
        return claimed


def _stand(certificate: str, step: str, point: str) -> None:
    file = hold_file(HOLDS, certificate, step, point)
    if not file.exists():
        return
    held = file.with_name(f"{file.name}.held")
    held.touch()
    ends = time.monotonic() + _LONGEST_SECONDS
    while file.exists() and time.monotonic() < ends:
        time.sleep(0.02)
    held.unlink(missing_ok=True)


def open_held(settings) -> Runtime:
    """The engine with records that can be held; everything else is unchanged."""
    opened = Runtime.open(settings)
    ports = dataclasses.replace(opened.ports, records=HeldRecords(opened.redis))
    return opened.with_ports(ports)


if __name__ == "__main__":
    HOLDS.mkdir(parents=True, exist_ok=True)
    make_app(certmill_settings.load(), open_runtime=open_held).worker_main(
        ["--quiet", "worker", "-n", f"{sys.argv[1]}@local"]
    )
