"""Objects that are being deleted but still exist because of a finalizer: nothing is issued, stored or
created for them."""

from __future__ import annotations

import pytest

from certmill.contract import STEP_NAMES
from certmill.errors import CAUnavailable
from certmill.home.cached import CachedHome
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()


def play_to(mill, step):
    """Execute the chain up to this step."""
    for name in STEP_NAMES[: STEP_NAMES.index(step)]:
        mill.step(name)
    assert mill.record().step == step


def end(mill):
    mill.ports.home.begin_deletion("Certificate", "default", "web")


def test_a_certificate_that_is_being_deleted_is_not_issued(redis):
    mill = Mill(redis)
    end(mill)

    found = mill.reconciler.reconcile(WEB.id)

    assert (found.run, found.publish_run, mill.has_record()) == (0, False, False)
    assert mill.status().conditions == ()


def test_its_secret_is_not_made_again(redis):
    mill = Mill(redis)
    mill.issue()
    end(mill)
    mill.ports.home.delete_secret("default", "web-tls")
    for _ in range(3):
        if mill.reconciler.reconcile(WEB.id).publish_run:
            mill.run()
        mill.world.clock.advance(90 * 86_400)
        mill.ticks.renew()

    assert mill.ports.home.secret("default", "web-tls") is None
    assert len(mill.world.ca.orders) == 1


@pytest.mark.parametrize("step", STEP_NAMES[1:-1])
def test_a_run_in_progress_stops_and_cleans_up(redis, step):
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    play_to(mill, step)
    end(mill)
    mill.reconciler.reconcile(WEB.id)  # as the controller requests it immediately

    mill.run(step)

    assert not mill.has_record()
    assert mill.ports.home.secret("default", "web-tls") is None
    assert list(redis.scan_iter("certmill:http01:*")) == []
    assert list(redis.scan_iter("certmill:lock:*")) == []


def test_a_pair_is_not_stored_though_the_deletion_was_not_observed_yet(redis):
    """The manifests that steps read may be half a minute old; the step that stores the pair reads them
    again."""
    mill = Mill(redis)
    mill.reconciler.reconcile(WEB.id)
    play_to(mill, "store_secret")
    recent = CachedHome(mill.ports.home, mill.world.clock)
    recent.certificate(WEB.id)
    end(mill)
    mill.use_in_steps(home=recent)

    mill.run("store_secret")

    assert mill.ports.home.secret("default", "web-tls") is None


def test_an_issuer_that_is_being_deleted_is_not_registered(redis):
    mill = Mill(redis)
    mill.ports.home.begin_deletion("ClusterIssuer", "", "prod")
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    assert mill.world.ca.accounts == {}
    assert mill.ports.home.secret("cert-manager", "prod-account") is None
    assert mill.ports.home.issuer_status(an_issuer()).conditions == ()


def test_a_run_waits_for_an_issuer_that_is_being_deleted_unless_it_is_ready(redis):
    mill = Mill(redis)
    mill.ports.home.begin_deletion("ClusterIssuer", "", "prod")
    mill.reconciler.reconcile(WEB.id)
    mill.run()

    assert mill.record().reason == "ClusterIssuer/prod is not ready: ClusterIssuer/prod is being deleted"
    assert mill.world.ca.accounts == {}


def test_an_issuer_that_is_ready_serves_until_it_is_gone(redis):
    mill = Mill(redis)
    mill.ticks.reread("one")
    mill.ports.home.begin_deletion("ClusterIssuer", "", "prod")

    mill.run()

    assert mill.world.leaf(WEB).dns_names == WEB.dns_names


def test_the_account_key_of_a_ca_that_cannot_be_reached_is_there(redis):
    """As in cert-manager: a user may create it, and an account with it meanwhile, before the CA has
    answered once."""
    mill = Mill(redis)

    class Away:
        def new_account(self, **_):
            raise CAUnavailable("503")

    mill.wrap_clients(lambda _: Away())
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")

    key = mill.world.secret("cert-manager", "prod-account").data["tls.key"]
    assert b"PRIVATE KEY" in key
    mill.wrap_clients(lambda client: client)
    mill.world.clock.advance(3600)
    mill.issuers.reconcile_path("ClusterIssuer", "prod", owner="controller")
    assert mill.world.secret("cert-manager", "prod-account").data["tls.key"] == key
    assert len(mill.world.ca.accounts) == 1
