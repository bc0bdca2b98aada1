"""Declares the commands that send requests to a CA."""

from __future__ import annotations

from typing import Annotated

import typer

from certmill.cli.options import EXITS, Namespace, Yes, session_of
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


account_app = typer.Typer(
    help="Change the account that an issuer has at its CA.", no_args_is_help=True, epilog=EXITS
)

IssuerName = Annotated[
    str,
    typer.Argument(metavar="ISSUER", help="Name of the Issuer or ClusterIssuer.", show_default=False),
]
IssuerKind = Annotated[
    str, typer.Option("--kind", help="Issuer or ClusterIssuer.", show_default="whichever has the name")
]


@account_app.command("rollover", epilog=EXITS)
def rollover_command(
    context: typer.Context, name: IssuerName, namespace: Namespace = "default", kind: IssuerKind = ""
) -> None:
    """Give the account a new key, and store it in the issuer's Secret."""
    from certmill.cli.commands import account

    raise typer.Exit(account.rollover(session_of(context), name, namespace=namespace, kind=kind))


@account_app.command("deactivate", epilog=EXITS)
def deactivate_command(
    context: typer.Context,
    name: IssuerName,
    namespace: Namespace = "default",
    kind: IssuerKind = "",
    yes: Yes = False,
) -> None:
    """Deactivate the account for ever. The issuer is not Ready until it has another account key."""
    from certmill.cli.commands import account

    raise typer.Exit(account.deactivate(session_of(context), name, namespace=namespace, kind=kind, yes=yes))
