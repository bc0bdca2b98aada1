"""Declares the command line: commands, arguments, options and help texts. The module that implements a
command is imported only when the command runs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from certmill.cli import ca_commands, streams
from certmill.cli.exit_codes import ExitCode, code_of, print_message
from certmill.cli.kinds import OBJECTS, Kind, kind_of, words
from certmill.cli.options import EXITS, Key, Namespace, Timeout, Wait, session_of
from certmill.errors import CertmillError

app = typer.Typer(
    name="certmill",
    help=(
        "Issue and renew certificates from any ACME CA. This command reads and writes the home and Redis; "
        "`python -m workers up` starts the processes that do the work."
    ),
    epilog=EXITS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Output(StrEnum):
    """The values of -o."""

    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"


def _kind(word: str, among: tuple[Kind, ...] = tuple(Kind)) -> Kind:
    try:
        return kind_of(word, among)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="KIND") from None


def _words() -> list[str]:
    return words()


def _object_words() -> list[str]:
    return words(OBJECTS)


def _version(wanted: bool) -> None:
    if wanted:
        from certmill.version import __version__

        print(f"certmill {__version__}")
        raise typer.Exit


AnyKind = Annotated[
    str, typer.Argument(metavar="KIND", help=" | ".join(words()), autocompletion=_words, show_default=False)
]
ObjectKind = Annotated[
    str,
    typer.Argument(
        metavar="KIND", help=" | ".join(words(OBJECTS)), autocompletion=_object_words, show_default=False
    ),
]


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="The directory home.", show_default="CERTMILL_HOME, or ./certmill-home"),
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Redis or Valkey.", show_default="CERTMILL_REDIS_URL, or REDIS_URL")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the options of all commands."""
    context.obj = (home, redis_url)


@app.command("apply", epilog=EXITS)
def apply_command(
    context: typer.Context,
    file: Annotated[
        list[str],
        typer.Option(
            "--filename", "-f", help="A file, a directory, or - for standard input. May be repeated."
        ),
    ],
    namespace: Namespace = "default",
) -> None:
    """Store manifests in the home: Certificates, Issuers, ClusterIssuers, Secrets. A file may have several
    documents."""
    from certmill.cli.commands import apply

    raise typer.Exit(apply.apply(session_of(context), file, namespace=namespace))


@app.command("get", epilog=EXITS)
def get_command(
    context: typer.Context,
    kind: AnyKind,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Only these.", show_default=False)
    ] = None,
    output: Annotated[
        Output | None, typer.Option("--output", "-o", help="More columns, or the whole objects.")
    ] = None,
    namespace: Namespace = "default",
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Show the objects of all namespaces.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 4 if a certificate or an issuer is not ready.")
    ] = False,
) -> None:
    """Print objects and what holds them up, or the requests that were refused."""
    from certmill.cli.commands import get

    which = _kind(kind)
    if names and (all_namespaces or which is Kind.REQUEST):
        raise typer.BadParameter("a name cannot be given with --all-namespaces, or for requests")
    if check and which in (Kind.SECRET, Kind.REQUEST):
        raise typer.BadParameter("only certificates and issuers are ready or not", param_hint="--check")
    chosen = None if all_namespaces else namespace
    raise typer.Exit(
        get.get(session_of(context), which, names or (), namespace=chosen, output=output or "", check=check)
    )


@app.command("describe", epilog=EXITS)
def describe_command(
    context: typer.Context,
    kind: ObjectKind,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the object.", show_default=False)],
    namespace: Namespace = "default",
) -> None:
    """Tell what happened to an object, what is next and when, and why."""
    from certmill.cli.commands import describe

    raise typer.Exit(describe.describe(session_of(context), _kind(kind, OBJECTS), name, namespace=namespace))


@app.command("delete", epilog=EXITS)
def delete_command(
    context: typer.Context,
    kind: ObjectKind,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Names of the objects.", show_default=False)
    ],
    namespace: Namespace = "default",
) -> None:
    """Delete objects from the home. The Secret of a Certificate stays."""
    from certmill.cli.commands import delete

    raise typer.Exit(delete.delete(session_of(context), _kind(kind, OBJECTS), names, namespace=namespace))


@app.command("renew", epilog=EXITS)
def renew_command(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names of the Certificates; or give --all.", show_default=False),
    ] = None,
    namespace: Namespace = "default",
    every: Annotated[bool, typer.Option("--all", help="Every Certificate of the namespace.")] = False,
    selector: Annotated[
        str, typer.Option("--selector", "-l", help="Only with these labels: app=web,tier!=cache.")
    ] = "",
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="In all namespaces; with --all or -l.")
    ] = False,
    over: Annotated[
        str,
        typer.Option(
            help="Spread the renewals over this time, as in 2h; 0s: none.",
            show_default="6 s each if there are more than 20",
        ),
    ] = "",
    wait: Wait = False,
    timeout: Timeout = 300.0,
) -> None:
    """Issue Certificates again, even if they are still good: at once, or many spread over a time."""
    from certmill.cli.commands import renew
    from certmill.cli.commands.request import Waiting

    if bool(names) is (every or bool(selector)) or (names and all_namespaces):
        raise typer.BadParameter("name Certificates, or give --all or -l")
    selection = renew.Selection(
        names=tuple(names or ()), namespace=None if all_namespaces else namespace, selector=selector
    )
    waiting = Waiting(wait=wait, timeout=timeout)
    raise typer.Exit(renew.renew(session_of(context), selection, over=over, waiting=waiting))


@app.command("request", epilog=EXITS)
def request_command(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="DNS names (also *.example.com) and IP addresses.", show_default=False
        ),
    ],
    issuer: Annotated[str, typer.Option(help="Name of the Issuer or ClusterIssuer.", show_default=False)],
    issuer_kind: Annotated[
        str, typer.Option(help="Issuer or ClusterIssuer.", show_default="whichever has the name")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the Certificate.", show_default="the first NAME")] = "",
    secret_name: Annotated[
        str, typer.Option(help="Name of the Secret.", show_default="the Certificate's name")
    ] = "",
    key: Key = "",
    duration: Annotated[
        str, typer.Option(help="Lifetime to ask for, as in 2160h.", show_default="the CA's")
    ] = "",
    namespace: Namespace = "default",
    wait: Wait = False,
    timeout: Timeout = 300.0,
) -> None:
    """Ask for a certificate without a manifest, as another service does."""
    from certmill.cli.commands import request as ask

    wanted = ask.Wanted(
        names=tuple(names),
        issuer=issuer,
        issuer_kind=issuer_kind,
        name=name,
        secret_name=secret_name,
        key=key,
        duration=duration,
        namespace=namespace,
    )
    raise typer.Exit(ask.request(session_of(context), wanted, ask.Waiting(wait=wait, timeout=timeout)))


app.command("revoke", epilog=EXITS)(ca_commands.revoke_command)
app.add_typer(ca_commands.account_app, name="account")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments`, or with those of the process. Returns the exit code."""
    return streams.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="certmill")
    except CertmillError as error:
        print_message(str(error))
        return code_of(error)
    except SystemExit as exited:  # typer ends each command with SystemExit
        return exited.code if isinstance(exited.code, int) else ExitCode.OK
    return ExitCode.OK
