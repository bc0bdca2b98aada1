"""Write Prometheus' text format 0.0.4, where its library does not fit: counters without the suffix `_total`,
as in cert-manager, and a hundred thousand series, which are written while they are read."""

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
    """Escape the value of a label."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def family(
    name: str, kind: str, help_text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    """A metric with its header; "" if it has no samples."""
    lines = [f"{name}{{{labels(of)}}} {value!r}\n" if of else f"{name} {value!r}\n" for of, value in samples]
    if lines:
        yield head(name, kind, help_text) + "".join(lines)
