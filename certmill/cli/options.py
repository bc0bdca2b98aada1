"""The options that several commands have, and the session of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from certmill.cli.exit_codes import MEANINGS

if TYPE_CHECKING:
    from certmill.cli.session import Session

EXITS = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."

Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the objects.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until the run has ended, and show each step.")]
Timeout = Annotated[float, typer.Option(min=0.0, help="With --wait: wait at most this many seconds.")]
Key = Annotated[
    str,
    typer.Option(
        help="rsa-2048 … rsa-8192, ecdsa-256, ecdsa-384, ecdsa-521, ed25519.", show_default="rsa-2048"
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def session_of(context: typer.Context) -> Session:
    """The resources of this call, with the options before the command name."""
    from certmill.cli.session import Options, Session

    home, redis_url = context.obj
    return Session(Options(home=home, redis_url=redis_url))
