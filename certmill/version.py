"""The version of this release; the wheel, the User-Agent and `certmill --version` have it from here."""

__version__ = "0.1.0"
