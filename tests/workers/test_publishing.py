"""The messages of a run, as they lie in the broker: whose root and parent they name, and what Flower will
show."""

from __future__ import annotations

import base64
import json

import pytest

from certmill.model.names import CertificateId
from certmill.model.trigger import Trigger
from certmill.settings import load
from certmill.state.run_state import WakeUp
from tasks.publishing import publish
from workers.configuration import configured_app

WEB = CertificateId("default/web")


@pytest.fixture
def published(server, tmp_path):
    """Publishes a chain from within another task, as ticks do; answers the head's headers, and the chain that
    is in its body."""
    app = configured_app(load(home=tmp_path, redis_url=server.url), schedule={}, on_rejected=lambda *_: None)

    def publish_from_a_tick(wake_up):
        @app.task(name="tick.of-the-test", shared=False)
        def tick():
            publish(app, wake_up)

        app.finalize(auto=True)
        tick.apply(task_id="the-tick", throw=True)
        with server.client as client:
            envelope = json.loads(client.rpop("certmill.steps"))
        return envelope["headers"], json.loads(base64.b64decode(envelope["body"]))[2]["chain"] or []

    return publish_from_a_tick


@pytest.mark.parametrize("step", ["validate", "clean_up"])
def test_a_run_that_a_tick_publishes_has_its_own_root(published, step):
    headers, _ = published(
        WakeUp(certificate=WEB, step=step, task_id="one", root_id="root", trigger=Trigger.RENEWAL)
    )

    assert (headers["id"], headers["root_id"], headers["parent_id"]) == ("one", "root", "root")


def test_a_record_without_a_root_has_the_head_of_its_chain_as_root(published):
    headers, _ = published(WakeUp(certificate=WEB, step="validate"))

    assert headers["root_id"] == headers["id"]


def test_every_step_of_the_chain_shows_what_began_the_run(published):
    headers, chain = published(
        WakeUp(certificate=WEB, step="finalize", root_id="root", trigger=Trigger.RENEWAL, run=17)
    )

    shown = [headers["kwargsrepr"], *(signature["options"]["kwargsrepr"] for signature in chain)]
    assert shown == ["{'trigger': 'renewal', 'run': 17}"] * 3


def test_only_the_head_counts_how_often_its_step_has_waited(published):
    headers, chain = published(
        WakeUp(certificate=WEB, step="finalize", task_id="one", root_id="root", retries=7)
    )

    assert headers["retries"] == 7
    assert all("retries" not in signature["options"] for signature in chain)
