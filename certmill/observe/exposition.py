"""Prometheus' text format 0.0.4, for what its library cannot say: counters whose name does not end with
`_total`, as cert-manager's, and a hundred thousand series a scrape, which are written as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def head(name: str, kind: str, help_text: str) -> str:
    """The two lines before the samples of a metric."""
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"


def labels(values: Mapping[str, str]) -> str:
    """`name="value",…`, escaped."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in values.items())


def escaped(value: str) -> str:
    """A label's value."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def family(
    name: str, kind: str, help_text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    """A whole metric; nothing if it has no samples."""
    lines = [f"{name}{{{labels(of)}}} {value!r}\n" if of else f"{name} {value!r}\n" for of, value in samples]
    if lines:
        yield head(name, kind, help_text) + "".join(lines)
