"""Defines the value that tells a run to use a fall-back issuer, and why. The run before it writes the value
to the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from certmill.errors import DamagedValue, NewerRelease
from certmill.model.persisted import Codec

FALLBACK_SECONDS: Final = 3600.0
"""If the next run does not begin within this time, it begins with the first issuer again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """`run`: the number of the run that uses the fall-back issuer. `spec`: the digest of the Certificate with
    that issuer (certificates.candidates). `reason`: why the run before it could not go on. `at`: when that
    run ended, in seconds since the epoch."""

    run: int = 0
    spec: str = ""
    reason: str = ""
    at: float = 0.0
    unknown: Mapping[str, object] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        return _CODEC.dump(self)

    @classmethod
    def read(cls, text: str | None) -> Fallback | None:
        """The value of a record; None if there is none, or if this release cannot read it."""
        try:
            return _CODEC.load(text) if text else None
        except (NewerRelease, DamagedValue):
            return None

    def applies(self, *, last_run: int, is_under_way: bool) -> bool:
        """Whether the run under way, or the next one, is the run that uses the fall-back issuer."""
        return self.run == (last_run if is_under_way else last_run + 1)


_CODEC: Final = Codec(Fallback)
