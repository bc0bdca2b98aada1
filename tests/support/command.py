"""The command `certmill` as a module: for tests.support.preloaded, which runs modules."""

from __future__ import annotations

import sys

from certmill.cli import main

if __name__ == "__main__":
    sys.exit(main())
