"""Whose Redis it is: the id of an installation in its home and in Redis, and who is refused."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from certmill.cli.exit_codes import ExitCode, code_of
from certmill.cli.session import Options, Session
from certmill.errors import HomeUnavailable, OtherInstallation
from certmill.home import installation as ids
from certmill.runs.installation import Installation
from certmill.state import keys
from certmill.state.installation import InstallationRecord
from certmill.testing.clock import FakeClock
from tests.support.mill import Mill


def an_installation(redis, identity, clock=None):
    return Installation(
        identity if callable(identity) else lambda: identity,
        InstallationRecord(redis),
        clock or FakeClock(0.0),
    )


def test_the_first_installation_is_noted_and_its_other_processes_pass(redis):
    an_installation(redis, "one").require()
    an_installation(redis, "one").require()

    assert redis.get(keys.INSTALLATION) == "one"


def test_another_installation_is_refused_with_what_to_do(redis):
    an_installation(redis, "one").require()

    with pytest.raises(
        OtherInstallation, match=r"\(id one\) uses this Redis, .* is two: .*CERTMILL_REDIS_URL.*FLUSHDB"
    ):
        an_installation(redis, "two").require()
    assert redis.get(keys.INSTALLATION) == "one"


def test_two_releases_in_one_namespace_are_distinguished(redis):
    an_installation(redis, "uid/blue-controller").require()
    an_installation(redis, "uid/blue-controller").require()

    with pytest.raises(
        OtherInstallation, match=r"\(id uid/blue-controller\) uses this Redis, .* is uid/green-controller: "
    ):
        an_installation(redis, "uid/green-controller").require()
    assert InstallationRecord(redis).read() == "uid/blue-controller"


def test_one_that_an_earlier_release_noted_by_its_namespace_alone_is_itself_still(redis):
    redis.set(keys.INSTALLATION, "uid")
    with pytest.raises(OtherInstallation):
        an_installation(redis, "another/blue-controller").require()

    an_installation(redis, "uid/blue-controller").require()

    assert redis.get(keys.INSTALLATION) == "uid", (
        "a process of the earlier release, in a rolling upgrade, reads this"
    )
    with pytest.raises(OtherInstallation):
        an_installation(redis, "uid/green-controller").require()


def test_after_redis_lost_its_memory_the_one_that_runs_is_noted_again(redis):
    ours = an_installation(redis, "one")
    ours.require()
    redis.flushdb()

    ours.require()

    with pytest.raises(OtherInstallation):
        an_installation(redis, "two").require()


def test_while_the_home_is_away_nothing_is_checked_and_it_is_asked_once_a_minute(redis):
    clock, asked, away = FakeClock(0.0), [], [True]

    def identity():
        asked.append(clock.now())
        if away[0]:
            raise HomeUnavailable("the API server does not answer")
        return "two"

    redis.set(keys.INSTALLATION, "one")
    installation = an_installation(redis, identity, clock)
    for _ in range(59):
        installation.require()
        clock.advance(1)
    assert asked == [0.0]

    away[0] = False
    clock.advance(1)
    with pytest.raises(OtherInstallation):
        installation.require()
    assert asked == [0.0, 60.0]


def test_a_tick_of_another_installation_wakes_nothing(redis):
    mill = Mill(redis)
    mill.reconciler.reconcile(mill.certificate.id)
    redis.set(keys.INSTALLATION, "one")
    before = redis.zrange(keys.IN_FLIGHT, 0, -1, withscores=True)
    object.__setattr__(mill.ports, "installation", an_installation(redis, "two"))
    mill.world.clock.advance(600)

    with pytest.raises(OtherInstallation):
        mill.ticks.wake()
    assert redis.zrange(keys.IN_FLIGHT, 0, -1, withscores=True) == before


def test_the_id_of_a_directory_is_made_once_and_goes_with_its_copy(tmp_path):
    home = tmp_path / "home"
    first = ids.of_directory(home)

    assert ids.of_directory(home) == first
    assert ids.of_directory(tmp_path / "another") != first
    assert stat.S_IMODE((home / ids.FILE).stat().st_mode) == 0o600
    assert list(home.iterdir()) == [home / ids.FILE]
    shutil.copytree(home, tmp_path / "restored")
    assert ids.of_directory(tmp_path / "restored") == first


def test_a_home_that_cannot_be_written_to_has_no_id(tmp_path):
    Path(tmp_path / "file").write_text("")

    with pytest.raises(HomeUnavailable, match="cannot read or make installation-id"):
        ids.of_directory(tmp_path / "file" / "home")


def test_the_command_refuses_another_installation_and_allows_a_machine_without_home(
    redis, redis_server, tmp_path
):
    redis.set(keys.INSTALLATION, "one")
    ids.of_directory(tmp_path / "home")

    with pytest.raises(OtherInstallation) as refused:
        _ = Session(Options(home=tmp_path / "home", redis_url=redis_server.url.replace("/0", "/9"))).client
    assert code_of(refused.value) == ExitCode.USAGE
    with Session(Options(home=tmp_path / "none", redis_url=redis_server.url.replace("/0", "/9"))).client:
        assert not (tmp_path / "none").exists()
