"""The embedded Valkey's preparation."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from workers.supervisor import embedded


def test_port_and_password_stay_the_same(tmp_path: Path) -> None:
    first = embedded.prepare(tmp_path)
    os.close(first.lock)

    second = embedded.prepare(tmp_path)

    assert (second.port, second.password) == (first.port, first.password)
    assert first.password not in repr(first)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    first = embedded.prepare(tmp_path)

    with pytest.raises(embedded.CannotEmbed, match="another `python -m workers up` runs in"):
        embedded.prepare(tmp_path)
    os.close(first.lock)


def test_its_url_can_be_given_to_redis_cli_and_an_earlier_one_keeps_its_password(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "url").write_text("redis://:secret@127.0.0.1:1/0\n")
    prepared = embedded.prepare(tmp_path)
    os.close(prepared.lock)

    assert prepared.url_file.read_text() == f"redis://default:secret@127.0.0.1:{prepared.port}/0\n"


def test_its_files_are_private(tmp_path: Path) -> None:
    prepared = embedded.prepare(tmp_path)
    os.close(prepared.lock)

    assert (tmp_path / "valkey").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "valkey").iterdir()} == {0o600}


def test_a_port_that_was_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    first = embedded.prepare(tmp_path)
    os.close(first.lock)
    with socket.create_server(("127.0.0.1", first.port)):
        second = embedded.prepare(tmp_path)
    os.close(second.lock)

    assert second.port != first.port
    assert second.password == first.password
