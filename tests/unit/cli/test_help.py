"""The help of the command."""

from __future__ import annotations

import typer

from certmill.cli import main
from certmill.cli.app import app


def test_each_argument_and_option_of_each_command_is_explained():
    commands = typer.main.get_command(app).commands

    unexplained = [
        f"{name} {parameter.name}"
        for name, command in commands.items()
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]

    assert len(commands) > 5
    assert unexplained == []


def test_the_help_lists_the_command_that_revokes(capsys):
    code = main(["--help"])

    assert code == 0
    assert "revoke" in capsys.readouterr().out
