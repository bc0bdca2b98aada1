"""The version of this release; the wheel, the User-Agent and `certmill --version` have it from here."""

from __future__ import annotations

__version__ = "0.1.0"
