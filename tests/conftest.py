"""Fixtures for all tests: real servers, started once per run, and the rule for a server that is not
installed."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from certmill.state.server.connection import connect
from compose.servers import MissingServer
from compose.servers.boulder_limits import find_boulder_limits
from compose.servers.cluster.helm import find_helm
from compose.servers.cluster.kubectl import build_commands
from compose.servers.cluster.kubernetes import KubeApiServer, build_kubernetes
from compose.servers.docker_compose import find_compose_config
from compose.servers.pebble import ChallTestSrv, Pebble, PebbleProfile
from compose.servers.redis import RedisServer
from tests.support.cluster import CRDS, client_of, make_empty

# Without it, each process that a test starts would compile all its modules: 2 s of CPU per process.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No test depends on the time that an example takes, and CI machines may be slow.
settings.register_profile("certmill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("certmill")


@pytest.fixture(autouse=True)
def _own_log_handlers():
    """A command that a test runs in this process sends the log to that test's stderr. The next test must not
    write there: it is closed then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = [handler for handler in root.handlers if handler in handlers]
    root.setLevel(level)


def _without(error: MissingServer):
    """A missing server is a failure in CI. On other machines the test is skipped with a message that says
    what to install."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    try:
        return (yield)
    except MissingServer as error:
        _without(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except MissingServer as error:
        _without(error)


SLOWEST_FIRST = ("faults", "controller", "pipeline", "demo", "workers", "ports")


def pytest_collection_modifyitems(items):
    """The directories whose files take minutes come first, so that no processor waits for the last."""
    order = {name: place for place, name in enumerate(SLOWEST_FIRST)}
    tests = Path(__file__).parent
    items.sort(key=lambda item: order.get(item.path.relative_to(tests).parts[0], len(order)))


def pytest_collection_finish(session):
    """Build the servers that take minutes before the time limit of the first test begins. The test that
    needs a missing server reports it."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for fixture, build in (
        ("kube_programs", build_kubernetes),
        ("helm_program", find_helm),
        ("kube_commands", build_commands),
        ("compose_program", find_compose_config),
        ("boulder_program", find_boulder_limits),
    ):
        if fixture in wanted and not session.config.option.collectonly:
            with contextlib.suppress(MissingServer):
                build()


@pytest.fixture(scope="session")
def kube_programs():
    """etcd and kube-apiserver are there. A test or fixture that starts a KubeApiServer needs it."""
    build_kubernetes()


@pytest.fixture(scope="session")
def helm_program():
    """Helm is there. A test or fixture that renders the chart needs it."""
    return find_helm()


@pytest.fixture(scope="session")
def compose_program():
    """The loader of Docker Compose's files is there. A test that loads compose.yaml needs it."""
    return find_compose_config()


@pytest.fixture(scope="session")
def boulder_program():
    """Boulder's limiter is there. A test that starts a BoulderLimits needs it."""
    return find_boulder_limits()


@pytest.fixture(scope="session")
def kube_commands():
    """kubectl and cmctl are there. A test or fixture that runs them needs it."""
    build_commands()


@pytest.fixture(scope="session")
def kube(kube_programs, tmp_path_factory):
    """An API server with certmill's CRDs. Shared: another test may remove the objects of a test; do not
    stop or freeze it."""
    with KubeApiServer(directory=tmp_path_factory.mktemp("kube")) as server:
        server.api.install_crds(CRDS)
        yield server


@pytest.fixture(scope="module")
def empty_kube(kube):
    """The shared API server without the objects of other modules, because an installation acts on all
    objects."""
    make_empty(client_of(kube))
    return kube


@pytest.fixture(scope="session")
def challtestsrv(tmp_path_factory):
    """A DNS server for Pebble that answers every name with 127.0.0.1. Shared: use names of your own."""
    with ChallTestSrv(directory=tmp_path_factory.mktemp("challtestsrv")) as server:
        yield server


@pytest.fixture(scope="session")
def pebble(tmp_path_factory, challtestsrv):
    """A Pebble as an ordinary CA: 5 % of nonces rejected, two roots, a profile. Shared: do not stop, freeze
    or reconfigure it."""
    shortlived = PebbleProfile(description="six days", validity_seconds=6 * 86_400)
    profiles = {"default": PebbleProfile(description="90 days"), "shortlived": shortlived}
    blocked = ("blocked.example",)
    directory = tmp_path_factory.mktemp("pebble")
    with Pebble(
        directory=directory, dns=challtestsrv.dns, profiles=profiles, alternate_roots=1, blocked=blocked
    ) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A Redis for the whole run. Shared: flush only the database you use, and do not stop it."""
    with RedisServer(directory=tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture
def redis(redis_server):
    """certmill's client on an empty database of its own in that Redis."""
    client = connect(redis_server.url.replace("/0", "/9"))
    client.flushdb()
    yield client
    client.flushdb()
    client.close()
