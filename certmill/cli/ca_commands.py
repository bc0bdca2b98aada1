"""Declares the commands that send requests to a CA."""

from __future__ import annotations

from typing import Annotated

import typer

from certmill.cli.options import Namespace, Yes, session_of
from certmill.model.revocation import RevocationReason, SigningKey


def revoke_command(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the Certificate.", show_default=False)],
    namespace: Namespace = "default",
    reason: Annotated[
        RevocationReason,
        typer.Option(help="RFC 5280's reason. keyCompromise also issues again at once, with a new key."),
    ] = RevocationReason.UNSPECIFIED,
    key: Annotated[
        SigningKey, typer.Option(help="The key that signs: of the account, or of the certificate.")
    ] = SigningKey.ACCOUNT,
    yes: Yes = False,
) -> None:
    """Revoke the stored certificate at its CA. The Secret stays."""
    from certmill.cli.commands import revoke

    raise typer.Exit(
        revoke.revoke(
            session_of(context), name, namespace=namespace, how=revoke.How(reason=reason, key=key, yes=yes)
        )
    )
