"""The engine's own connection: an unfit Redis is StateUnavailable and a new connection; the password is the
file's."""

from __future__ import annotations

import pytest
import redis as redis_py

from certmill.contract import STEPS_QUEUE
from certmill.errors import StateUnavailable
from certmill.model.names import CertificateId
from certmill.state.due import DueTimes
from certmill.state.records import Records
from certmill.state.run_state import Adoption
from certmill.state.server.connection import connect
from certmill.state.server.failover import FileCredentials, ServerUnfit, is_unfit
from compose.servers.redis import RedisServer

WEB = CertificateId("default/web")


@pytest.fixture
def server(tmp_path):
    with RedisServer(directory=tmp_path / "redis") as running:
        yield running


def test_a_master_that_became_a_replica_is_left_and_found_again(server):
    with connect(server.url) as client, connect(server.url) as admin:
        records = Records(client)
        assert records.read(WEB) is None
        before = client.client_id()
        admin.replicaof("127.0.0.1", "1")
        with pytest.raises(StateUnavailable):
            records.adopt(WEB, now=1.0, at=2.0, spec="s")
        admin.replicaof("NO", "ONE")

        assert records.adopt(WEB, now=1.0, at=2.0, spec="s") is Adoption.ADOPTED
        assert client.client_id() != before


def test_an_answer_about_the_command_is_its_own_error(server):
    with connect(server.url) as client:
        client.set(STEPS_QUEUE, "no list")
        before = client.client_id()

        with pytest.raises(redis_py.ResponseError, match="WRONGTYPE"):
            client.llen(STEPS_QUEUE)
        with pytest.raises(
            StateUnavailable, match=r"Redis at \S+:\d+ refuses a command \(ResponseError\); .* no cluster"
        ):
            DueTimes(client).queue_length()
        assert client.client_id() == before


def test_a_transaction_on_a_replica_is_a_lost_connection_too(server):
    with connect(server.url, retries=0) as client, connect(server.url) as admin:
        admin.replicaof("127.0.0.1", "1")
        pipe = client.pipeline(transaction=True)
        pipe.set("a", "b")
        with pytest.raises(ServerUnfit):
            pipe.execute()


@pytest.mark.parametrize(
    ("trouble", "end", "told"),
    [
        (
            ("CONFIG", "SET", "maxmemory", "1"),
            ("CONFIG", "SET", "maxmemory", "0"),
            "memory is full: raise its maxmemory",
        ),
        (
            ("REPLICAOF", "127.0.0.1", "1"),
            ("REPLICAOF", "NO", "ONE"),
            "is a replica .*set CERTMILL_REDIS_URL to the master",
        ),
    ],
)
def test_a_redis_that_answers_is_not_said_to_be_away(server, trouble, end, told):
    with connect(server.url) as client, connect(server.url) as admin:
        records = Records(client)
        admin.execute_command(*trouble)
        try:
            with pytest.raises(
                StateUnavailable, match=rf"Redis at \S+:\d+ cannot serve us now: .*{told}"
            ) as caught:
                records.adopt(WEB, now=1.0, at=2.0, spec="s")
        finally:
            admin.execute_command(*end)

        assert "does not answer" not in str(caught.value)


@pytest.mark.parametrize(
    "code", ["UNBLOCKED force unblock", "MISCONF Redis is configured to save", "NOREPLICAS Not enough"]
)
def test_what_the_server_says_of_itself_is_unfit(code):
    assert is_unfit(redis_py.ResponseError(code))
    assert not is_unfit(
        redis_py.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    )


def test_user_and_password_are_the_files_for_each_connection(server, tmp_path):
    file = tmp_path / "url"
    with connect(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "one", "on", ">a/b%", "~*", "&*", "+@all")
        file.write_text(f"redis://one:a%2Fb%25@127.0.0.1:{server.port}/0\n")
        with connect(file.read_text().strip(), url_file=file) as client:
            assert client.acl_whoami() == "one"
            admin.execute_command("ACL", "SETUSER", "two", "on", ">c", "~*", "&*", "+@all")
            file.write_text(f"redis://two:c@127.0.0.1:{server.port}/0\n")
            admin.execute_command("CLIENT", "KILL", "USER", "one")

            assert client.acl_whoami() == "two"


def test_a_file_that_is_away_for_a_moment_changes_nothing(tmp_path):
    credentials = FileCredentials(tmp_path / "away", "redis://one:first@host/0")
    assert credentials.get_credentials() == ("one", "first")

    (tmp_path / "away").write_text("redis://:second@host/0")
    assert credentials.get_credentials() == ("second",)
    (tmp_path / "away").write_bytes(b"\xff")
    assert credentials.get_credentials() == ("second",)
