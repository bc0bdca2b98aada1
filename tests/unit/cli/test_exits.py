"""Exit codes that scripts can use."""

from __future__ import annotations

import pytest

from certmill.cli.exit_codes import MEANINGS, ExitCode, code_of, print_message
from certmill.errors import HomeUnavailable, InvalidManifest, NameRefused, NotFound, StateUnavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), ExitCode.NOT_FOUND),
        (StateUnavailable("x"), ExitCode.UNREACHABLE),
        (HomeUnavailable("x"), ExitCode.UNREACHABLE),
        (InvalidManifest("is wrong", path="spec.dnsNames"), ExitCode.FAILED),
        (InvalidManifest("is wrong", path="CERTMILL_HOME"), ExitCode.USAGE),
        (NameRefused("x"), ExitCode.FAILED),
    ],
)
def test_an_error_has_its_code(error, code):
    assert code_of(error) is code


def test_every_code_is_explained():
    assert set(MEANINGS) == set(ExitCode)


def test_an_error_is_one_line_on_stderr(capsys):
    print_message("two\nlines \x1b[0m")

    assert capsys.readouterr() == ("", "error: two lines ?[0m\n")
