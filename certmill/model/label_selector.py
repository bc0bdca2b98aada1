"""Selects objects by their labels, with kubectl's equality-based selectors: `app=web,tier!=cache,canary`.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from certmill.errors import InvalidManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequirement:
    """One part of a selector. `value` is None if only the label's presence matters; `negated`: the part must
    not match."""

    label: str
    value: str | None = None
    negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.label)
        return (found is not None if self.value is None else found == self.value) is not self.negated


def parse_selector(text: str) -> tuple[LabelRequirement, ...]:
    """Parse `key=value`, `key==value`, `key!=value`, `key` and `!key`, separated by commas. Raises
    InvalidManifest for the option -l."""
    return tuple(_requirement(part.strip(), text) for part in text.split(","))


def matches(selector: tuple[LabelRequirement, ...], labels: Mapping[str, str]) -> bool:
    """Whether the labels match each part of the selector."""
    return all(part.matches(labels) for part in selector)


def _requirement(part: str, text: str) -> LabelRequirement:
    label, sign, value = part.partition("=")
    negated = label.endswith("!") if sign else label.startswith("!")
    label = label.removesuffix("!").strip() if sign else label.removeprefix("!").strip()
    value = value.removeprefix("=").strip()
    if not label or any(character in label + value for character in "=!() "):
        raise InvalidManifest(
            f"{text!r} is not a label selector such as app=web,tier!=cache", path="--selector"
        )
    return LabelRequirement(label=label, value=value if sign else None, negated=negated)
