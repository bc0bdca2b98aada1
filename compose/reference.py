"""`make reference`: writes docs/settings.md and compose/env.example from certmill/settings.py. A test checks
that both files are current."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import wrap

from pydantic import SecretStr

from certmill import settings
from certmill.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SETTINGS_PAGE = ROOT / "docs" / "settings.md"
ENV_EXAMPLE = ROOT / "compose" / "env.example"

_PAGE = """\
# Settings

All settings are environment variables. An empty variable counts as not set. A process logs `settings.unknown`
for a `CERTMILL_…` variable that is not a setting.

Each secret (`CERTMILL_REDIS_URL`, `CERTMILL_SEAL_KEYS`, `CERTMILL_FLOWER_PASSWORD`) may be in a file; the
variable with `_FILE` at its end names it. The variable comes before the file, and both come before REDIS_URL.

This page is written by `make reference` from `certmill/settings.py`.

| setting | default | meaning |
|---|---|---|
"""

_EXAMPLE = """\
# Settings of certmill's processes, for `EnvironmentFile=` of systemd and `env_file:` of compose. Copy it,
# give it mode 0600, and uncomment what you change. `make reference` writes it from certmill/settings.py.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting as the reference shows it. `default` is "" if the setting has no default."""

    variable: str
    default: str
    meaning: str


def every_setting() -> Iterator[Setting]:
    """All settings in the order of the class. The meaning of a setting is the string that follows it in the
    class."""
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(settings)).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and field.target.id in Settings.model_fields
        ):
            assert isinstance(text, ast.Expr), f"{field.target.id} has no description"
            assert isinstance(text.value, ast.Constant), f"{field.target.id} has no description"
            yield Setting(
                variable=f"CERTMILL_{field.target.id.upper()}",
                default=_shown(Settings.model_fields[field.target.id].default),
                meaning=" ".join(str(text.value.value).split()),
            )


def settings_page() -> str:
    """The text of docs/settings.md."""
    rows = (
        f"| `{one.variable}` | {f'`{one.default}`' if one.default else ''} | {one.meaning} |"
        for one in every_setting()
    )
    return _PAGE + "\n".join(rows) + "\n"


def env_example() -> str:
    """The text of compose/env.example: each setting is commented out and has its default."""
    parts = (
        "\n".join([*(f"# {line}" for line in wrap(one.meaning, 100)), f"#{one.variable}={one.default}"])
        for one in every_setting()
    )
    return _EXAMPLE + "\n" + "\n\n".join(parts) + "\n"


def _shown(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if default is None or default == ():
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def main() -> None:
    """Write both files."""
    SETTINGS_PAGE.write_text(settings_page(), encoding="utf-8")
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")


if __name__ == "__main__":
    main()
