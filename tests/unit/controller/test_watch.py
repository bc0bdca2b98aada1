"""One resource listed and watched: from its list, through watches, past errors and 410, with a scripted API
server."""

from __future__ import annotations

import itertools
import threading

import pytest

from certmill.controller.watch import Watch, Watched
from certmill.errors import Forbidden, HomeUnavailable, WatchExpired
from certmill.kube.answers import NotServed
from certmill.kube.objects import meta_of
from certmill.kube.resources import CERTIFICATES
from tests.unit.controller.bodies import Script, a_secret


class Stop(threading.Event):
    """Nobody waits: how long they would have is kept."""

    def __init__(self):
        super().__init__()
        self.pauses = []

    def wait(self, timeout=None):
        self.pauses.append(timeout)
        return self.is_set()


def obj(name, version="1"):
    return a_secret(name, resourceVersion=version)


class Watching:
    def __init__(self, *, optional=False, lasts=0.0, **script):
        """`lasts`: seconds of each watch."""
        self.stop, self.changes = Stop(), []
        self.script = Script(self.stop, **script)
        watched = Watched(
            resource=CERTIFICATES,
            strip=lambda body: meta_of(body).resource_version,
            changed=lambda before, after: self.changes.append((before, after)),
            namespace="default",
            labels="a=b",
            metadata_only=True,
            optional=optional,
        )
        seconds = itertools.count(step=lasts)
        self.watch = Watch(self.script, watched, self.stop, monotonic=lambda: next(seconds))
        self.watch.run()

    @property
    def names(self):
        return {name for _, name in self.watch.views}


def test_what_is_listed_is_reported_and_kept():
    seen = Watching(lists=[[obj("a"), obj("b", "2")]])

    assert seen.watch.views == {("default", "a"): "1", ("default", "b"): "2"}
    assert seen.changes == [(None, "1"), (None, "2")]
    assert seen.watch.synced.is_set()
    assert seen.script.asked == ["list", "watch from list 1"]
    assert seen.script.options == [{"namespace": "default", "labels": "a=b", "metadata_only": True}]


def test_what_happens_then_is_reported_in_order():
    events = [("ADDED", obj("b", "5")), ("MODIFIED", obj("a", "6")), ("DELETED", obj("b", "7"))]

    seen = Watching(lists=[[obj("a")]], watches=[events])

    assert seen.changes == [(None, "1"), (None, "5"), ("1", "6"), ("5", None)]
    assert seen.watch.views == {("default", "a"): "6"}


def test_a_change_that_is_none_is_not_reported():
    seen = Watching(
        lists=[[obj("a")]],
        watches=[[("MODIFIED", obj("a")), ("BOOKMARK", obj("", "9")), ("DELETED", obj("nobody"))]],
    )

    assert seen.changes == [(None, "1")]


def test_the_next_watch_goes_on_from_the_last_event_or_bookmark():
    seen = Watching(
        lists=[[]],
        watches=[[("ADDED", obj("a", "5"))], [("BOOKMARK", {"metadata": {"resourceVersion": "8"}})]],
    )

    assert seen.script.asked == ["list", "watch from list 1", "watch from 5", "watch from 8"]


def test_a_watch_that_is_cut_goes_on_without_a_new_list():
    seen = Watching(
        lists=[[]], watches=[[("ADDED", obj("a", "5")), HomeUnavailable("cut")], [HomeUnavailable("away")]]
    )

    assert seen.script.asked == ["list", "watch from list 1", "watch from 5", "watch from 5"]
    assert seen.stop.pauses[:2] == [1.0, 2.0]


def test_a_forgotten_version_is_listed_anew_at_once_and_deletions_are_reported():
    seen = Watching(lists=[[obj("a"), obj("b")], [obj("b", "2"), obj("c")]], watches=[[WatchExpired("410")]])

    assert seen.script.asked[:3] == ["list", "watch from list 1", "list"]
    assert seen.stop.pauses[0] == 0
    assert seen.names == {"b", "c"}
    assert ("1", None) in seen.changes
    assert ("1", "2") in seen.changes


def test_versions_that_are_forgotten_again_and_again_are_listed_ever_more_slowly():
    seen = Watching(lists=[[]] * 4, watches=[[WatchExpired("410")]] * 4)

    assert seen.stop.pauses[:4] == [0, 2.0, 5.0, 10.0]


def test_errors_are_waited_for_ever_longer_and_an_event_ends_that():
    errors = [HomeUnavailable("away"), Forbidden("no role"), HomeUnavailable("away")]

    seen = Watching(lists=[*errors, []], watches=[[("ADDED", obj("a", "5")), HomeUnavailable("cut")]])

    assert seen.stop.pauses[:4] == [1.0, 2.0, 5.0, 1.0]
    assert seen.names == {"a"}


def test_a_watch_that_went_on_for_a_while_resets_the_failures_before_it():
    seen = Watching(lasts=60.0, lists=[[obj("a")]], watches=[[HomeUnavailable("cut")]] * 4)

    assert seen.stop.pauses[:4] == [1.0, 1.0, 1.0, 1.0]


def test_what_is_forgotten_after_failures_is_listed_anew_at_once():
    """As when an API server was away, and was started again."""
    away = [HomeUnavailable("away")]
    seen = Watching(lists=[[obj("a")], [obj("a")]], watches=[away, away, away, [WatchExpired("too old")]])

    assert seen.stop.pauses[:4] == [1.0, 2.0, 5.0, 0.0]
    assert seen.script.asked.count("list") == 2


def test_a_server_that_says_when_to_come_back_is_not_asked_before():
    seen = Watching(lists=[HomeUnavailable("busy", retry_after=30.0), [obj("a")]])

    assert seen.stop.pauses[0] == 30.0


def test_after_many_failures_the_version_itself_is_doubted():
    seen = Watching(lists=[[], []], watches=[[HomeUnavailable("away")]] * 6)

    assert seen.script.asked == ["list", *["watch from list 1"] * 6, "list", "watch from list 2"]


def test_and_a_new_one_is_no_more_doubted_than_the_first_was():
    """Where lists are answered and watches are not, each failure would else cost a whole list."""
    seen = Watching(lists=[[], []], watches=[[HomeUnavailable("away")]] * 11)

    assert seen.script.asked == ["list", *["watch from list 1"] * 6, "list", *["watch from list 2"] * 6]
    assert seen.stop.pauses[6:11] == [10.0] * 5


def test_a_watch_that_ends_at_once_is_not_begun_again_without_a_pause():
    seen = Watching(lists=[[]], watches=[[], []])

    assert seen.stop.pauses[:2] == [1.0, 1.0]


REFUSED = HomeUnavailable("storage is (re)initializing", retry_after=1.0)
BOOKMARK = ("BOOKMARK", {"metadata": {"resourceVersion": "8"}})


@pytest.mark.parametrize("heard", [[], [BOOKMARK]], ids=["nothing", "a bookmark"])
def test_a_watch_without_objects_after_a_refused_one_is_short_and_a_list_follows(heard):
    """An API server that begins a resource's storage anew (429) may take a watch on what nobody writes to any
    more."""
    seen = Watching(lists=[[], [obj("new")]], watches=[[REFUSED], heard])

    assert seen.script.asked[:4] == ["list", "watch from list 1", "watch from list 1", "list"]
    assert seen.script.seconds == [240, 5, 240]
    assert seen.names == {"new"}


def test_a_watch_after_a_refused_one_that_reports_an_object_is_believed():
    seen = Watching(lists=[[]], watches=[[REFUSED], [("ADDED", obj("a", "5"))]])

    assert seen.script.asked == ["list", "watch from list 1", "watch from list 1", "watch from 5"]
    assert seen.script.seconds == [240, 5, 240]


def test_a_watch_after_one_that_was_cut_is_as_good_as_any():
    """A list of ten thousand objects is not for every connection that is cut."""
    seen = Watching(lists=[[]], watches=[[HomeUnavailable("cut")], []])

    assert seen.script.asked.count("list") == 1
    assert set(seen.script.seconds) == {240}


def test_a_watch_that_was_silent_for_too_long_is_followed_by_a_list():
    seen = Watching(lasts=61.0, lists=[[], [obj("new")]], watches=[[]])

    assert seen.script.asked == ["list", "watch from list 1", "list", "watch from list 2"]


def test_a_watch_that_had_a_bookmark_is_not_silent():
    seen = Watching(lasts=61.0, lists=[[]], watches=[[BOOKMARK]])

    assert seen.script.asked == ["list", "watch from list 1", "watch from 8"]


def test_a_resource_that_is_not_there_yet_is_nothing_and_is_listed_again():
    seen = Watching(optional=True, served=["no", "no", "yes"], lists=[[obj("a")]])

    assert seen.script.asked[:4] == ["serves", "serves", "serves", "list"]
    assert seen.stop.pauses[:2] == [5.0, 5.0]
    assert seen.names == {"a"}


def test_while_it_is_not_there_nobody_waits_for_it():
    seen = Watching(optional=True, served=["no"])

    assert seen.watch.synced.is_set()
    assert "list" not in seen.script.asked


def test_a_resource_that_goes_away_takes_its_objects_along():
    stop_after = [[NotServed("404")]]

    seen = Watching(optional=True, served=["yes", "no", "yes"], lists=[[obj("a")], []], watches=stop_after)

    assert seen.script.asked[:4] == ["serves", "list", "watch from list 1", "serves"]
    assert seen.changes == [(None, "1"), ("1", None)]
