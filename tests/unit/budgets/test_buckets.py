"""Which buckets each event checks and spends from, with the exemptions."""

from __future__ import annotations

import pytest

from certmill.budgets.buckets import Account, exact_set
from certmill.budgets.profiles import LETS_ENCRYPT
from certmill.budgets.refusals import named_in
from certmill.model.names import Identifier, IdentifierType
from certmill.model.rate_limit import LimitName

ACCOUNT = Account(server="https://ca.test/directory", uri="https://ca.test/acct/1", limits=LETS_ENCRYPT)
ORDERS, DOMAIN, SET = LimitName.NEW_ORDERS, LimitName.CERTIFICATES_PER_DOMAIN, LimitName.CERTIFICATES_PER_SET
FAILED, CONSECUTIVE = LimitName.FAILED_AUTHORIZATIONS, LimitName.CONSECUTIVE_FAILURES


def names(*values):
    return [Identifier(type=IdentifierType.DNS, value=value) for value in values]


def subjects(buckets):
    return [(bucket.name, bucket.subject) for bucket in buckets]


WEB = names("www.example.com", "*.example.com")


def test_a_new_order_spends_the_account_and_checks_the_others():
    bought = ACCOUNT.new_order(WEB, same_set=False)

    assert subjects(bought.spent) == [(ORDERS, "")]
    assert subjects(bought.checked) == [
        (ORDERS, ""),
        (FAILED, "www.example.com"),
        (FAILED, "*.example.com"),
        (CONSECUTIVE, "www.example.com"),
        (CONSECUTIVE, "*.example.com"),
        (DOMAIN, "example.com"),
        (SET, "*.example.com, www.example.com"),
    ]


def test_the_same_set_is_exempt_from_orders_and_domains_only():
    bought = ACCOUNT.new_order(WEB, same_set=True)

    assert bought.spent == ()
    assert {bucket.name for bucket in bought.checked} == {FAILED, CONSECUTIVE, SET}


def test_an_order_inside_its_ari_window_is_exempt_from_all():
    bought = ACCOUNT.new_order(WEB, same_set=False, in_ari_window=True)

    assert (bought.checked, bought.spent) == ((), ())


@pytest.mark.parametrize(("same_set", "expected"), [(False, [DOMAIN, SET]), (True, [SET])])
def test_finalize_spends_the_exact_set_always_and_the_domain_if_not_exempt(same_set, expected):
    assert [bucket.name for bucket in ACCOUNT.finalize(WEB, same_set=same_set)] == expected


def test_a_set_is_the_same_in_any_order_case_and_repetition():
    assert exact_set(names("b.test", "A.test", "a.test")) == exact_set(names("a.test", "b.test"))
    assert exact_set(names("a.test")) != exact_set(names("*.a.test"))


def test_buckets_of_two_accounts_share_only_domains_and_sets():
    other = Account(server=ACCOUNT.server, uri="https://ca.test/acct/2", limits=LETS_ENCRYPT)

    shared = {bucket.id for bucket in ACCOUNT.new_order(WEB, same_set=False).checked} & {
        bucket.id for bucket in other.new_order(WEB, same_set=False).checked
    }

    assert shared == {bucket.id for bucket in ACCOUNT.finalize(WEB, same_set=False)}


def test_buckets_of_two_cas_are_different():
    other = Account(server="https://other.test/directory", uri=ACCOUNT.uri, limits=LETS_ENCRYPT)

    for same_set in (False, True):
        ours = ACCOUNT.new_order(WEB, same_set=same_set).checked
        theirs = other.new_order(WEB, same_set=same_set).checked
        assert not {bucket.id for bucket in ours} & {bucket.id for bucket in theirs}


def test_a_ca_without_limits_has_no_buckets():
    free = Account(server="https://ca.test/directory", uri="", limits={})

    assert free.new_order(WEB, same_set=False).checked == ()
    assert free.finalize(WEB, same_set=False) == ()
    assert free.failed_authorizations(["www.example.com"]) == ()


UNTIL = "in the last 168h0m0s, retry after 2026-11-30 10:00:00 UTC: see https://letsencrypt.org/docs/"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"too many new orders (300) from this account {UNTIL}", (ORDERS, "")),
        (f'too many certificates (50) already issued for "example.com" {UNTIL}', (DOMAIN, "example.com")),
        (
            f"too many certificates (5) already issued for this exact set of identifiers {UNTIL}",
            (SET, "*.example.com, www.example.com"),
        ),
        (f'too many failed authorizations (5) for "www.example.com" {UNTIL}', (FAILED, "www.example.com")),
    ],
)
def test_the_text_of_a_refusal_names_its_bucket(text, expected):
    found = named_in(f"ca.test rate limit reached, cannot order: {text}", checked(WEB))

    assert found is not None
    assert (found.name, found.subject) == expected


def checked(identifiers):
    return ACCOUNT.new_order(identifiers, same_set=False).checked


def test_a_refusal_for_a_network_means_the_only_bucket_of_its_limit():
    address = [Identifier(type=IdentifierType.IP, value="2001:db8::1")]

    found = named_in(f'too many certificates (50) already issued for "/64" {UNTIL}', checked(address))

    assert found is not None
    assert found.subject == "2001:db8::/64"


@pytest.mark.parametrize(
    "text",
    [
        "slow down",
        'too many failed authorizations (5) for "other.example.net"',
        "too many new registrations (10) from this IP address",
    ],
)
def test_a_refusal_that_names_no_checked_bucket_names_none(text):
    assert named_in(text, checked(WEB)) is None
