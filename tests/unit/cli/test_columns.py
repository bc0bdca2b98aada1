"""Tables look as kubectl's do."""

from __future__ import annotations

from certmill.cli import columns


def test_a_table_has_three_spaces_and_no_trailing_ones():
    lines = columns.table(("NAME", "READY", "AGE"), [("web", "True", "5m"), ("a-long-name", "", "3d")])

    assert lines == ["NAME          READY   AGE", "web           True    5m", "a-long-name           3d"]


def test_what_others_sent_cannot_steer_the_terminal():
    assert columns.table(("REASON",), [("red \x1b[31m\nline",)]) == ["REASON", "red ?[31m line"]
    assert columns.fields([("Reason", "a\rb\x07")]) == ["Reason:  a b?"]


def test_fields_without_a_value_are_left_out_and_the_rest_is_aligned():
    assert columns.fields([("Name", "web"), ("Common name", ""), ("Secret", "tls")]) == [
        "Name:    web",
        "Secret:  tls",
    ]
