"""Work that is done once, where the real controller of cert-manager repeats it (reference §1.11b)."""

from __future__ import annotations

from collections import Counter

from certmill.contract import STEP_NAMES
from certmill.model.manifests.parse import certificate_document, dump_yaml
from tests.support.builders import a_certificate, an_issuer
from tests.support.mill import Mill

WEB = a_certificate()


class Counting:
    """A client that counts the requests."""

    def __init__(self, client, asked):
        self._client, self._asked = client, asked

    def __getattr__(self, name):
        self._asked[name] += 1
        return getattr(self._client, name)


def counting(mill):
    """The environment, and the number of requests of each kind to its CA."""
    asked = Counter()
    mill.wrap_clients(lambda client: Counting(client, asked))
    return asked


def test_the_account_of_a_new_issuer_is_registered_once_for_all_its_certificates(redis):
    mill = Mill(redis)
    asked = counting(mill)
    others = [
        a_certificate(name=name, secret_name=f"{name}-tls", dns_names=(f"{name}.example.test",))
        for name in ("a", "b", "c")
    ]
    for certificate in others:
        mill.ports.home.apply(certificate, dump_yaml(certificate_document(certificate)))
    ids = [WEB.id, *(certificate.id for certificate in others)]
    for certificate_id in ids:
        mill.reconciler.reconcile(certificate_id)

    for certificate_id in ids:
        mill.engine.run(STEP_NAMES[0], certificate_id, task_id="t", root_id="r")

    assert asked["new_account"] == 1


def test_an_order_is_made_once_and_finalized_once(redis):
    mill = Mill(redis)
    asked = counting(mill)

    mill.issue()

    assert (asked["new_order"], asked["finalize"]) == (1, 1)


def test_after_a_change_of_the_e_mail_the_accounts_uri_is_there_all_the_time(redis):
    mill = Mill(redis)
    mill.issue()
    home, written = mill.ports.home, []
    write = home.write_issuer_status

    def watch(issuer, status):
        written.append(status)
        write(issuer, status)

    home.write_issuer_status = watch
    changed = an_issuer(email="new@example.test")
    home.apply(changed, "kind: ClusterIssuer\n# with another e-mail\n")
    mill.ticks.reread("tick")

    assert written[-1].last_registered_email == "new@example.test"
    assert all(status.uri for status in written)


def test_a_leaf_for_another_key_fails_with_back_off_and_orders_nothing_more(redis):
    mill = Mill(redis)
    asked = counting(mill)
    mill.world.ca.trouble.other_key = True
    mill.reconciler.reconcile(WEB.id)

    mill.run()
    for _ in range(5):
        assert not mill.reconciler.reconcile(WEB.id).publish_run

    assert mill.status().failed_issuance_attempts == 1
    assert asked["new_order"] == 1
    assert mill.ports.home.secret("default", "web-tls") is None
