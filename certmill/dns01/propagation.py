"""STAND-IN by the lead, to be overwritten by the helper's version."""
from dataclasses import dataclass
@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    visible: bool
    reason: str = ""
def is_visible(*a, **k): return Visibility(visible=True)
