"""Edit in place: the challenge's path in the user's Ingress, and the Ingress as it was afterwards."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.http01.edit_in_place import (
    NOTE,
    certificates_served,
    with_challenge_path,
    without_certificates,
    without_challenge_path,
)
from certmill.http01.ingress import challenge_path

HOST = "cert.example.com"


def a_path(path, path_type="Prefix", service="tea-svc"):
    return {
        "path": path,
        "pathType": path_type,
        "backend": {"service": {"name": service, "port": {"number": 80}}},
    }


TEA, COFFEE = a_path("/tea"), a_path("/coffee", service="coffee-svc")


def an_ingress(*rules, **spec):
    found = list(rules) or [{"host": HOST, "http": {"paths": [TEA, COFFEE]}}]
    return copy.deepcopy(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": "cafe-ingress",
                "annotations": {"acme.cert-manager.io/http01-edit-in-place": "true"},
            },
            "spec": {"ingressClassName": "nginx", "rules": found} | spec,
        }
    )


def paths(ingress, place=0):
    return ingress["spec"]["rules"][place]["http"]["paths"]


def token_of(host, certificate):
    return f"{host}-{certificate}".replace(".", "_")


def led(ingress, host, certificate):
    """With the path that a challenge of its own needs."""
    return with_challenge_path(ingress, host, certificate, token_of(host, certificate))


def alone(host, certificate):
    """The path of this challenge's token only."""
    return challenge_path(token_of(host, certificate))


OURS = alone(HOST, "a")


def as_bytes(ingress):
    return json.dumps(ingress).encode()


def test_the_path_comes_before_the_others_in_the_rule_of_the_host():
    found = led(an_ingress(), HOST, "a")

    assert paths(found) == [OURS, TEA, COFFEE]
    assert OURS["path"] == "/.well-known/acme-challenge/cert_example_com-a"
    assert OURS["pathType"] == "Exact"


def test_the_ingress_is_byte_for_byte_what_it_was_when_the_path_is_gone():
    before = an_ingress()
    found = without_challenge_path(led(before, HOST, "cafe-secret"), HOST, "cafe-secret")

    assert as_bytes(found) == as_bytes(an_ingress())
    assert as_bytes(before) == as_bytes(an_ingress())


def test_a_path_that_is_there_is_nothing_to_change():
    assert led(led(an_ingress(), HOST, "a"), HOST, "a") is None


def test_a_path_that_is_not_there_is_nothing_to_take_out():
    assert without_challenge_path(an_ingress(), HOST, "a") is None
    assert without_challenge_path(led(an_ingress(), HOST, "a"), HOST, "b") is None


def test_a_host_without_a_rule_gets_one_and_loses_it_again():
    before = an_ingress({"host": "other.example.com", "http": {"paths": [TEA]}})
    found = led(before, HOST, "a")

    assert found["spec"]["rules"] == [*before["spec"]["rules"], {"host": HOST, "http": {"paths": [OURS]}}]
    assert without_challenge_path(found, HOST, "a") == before


def test_a_rule_of_ours_stays_if_the_user_has_put_a_path_into_it():
    found = led(an_ingress({"host": "other.example.com", "http": {"paths": [TEA]}}), HOST, "a")
    paths(found, 1).append(COFFEE)

    assert paths(without_challenge_path(found, HOST, "a"), 1) == [COFFEE]


def test_a_rule_of_the_user_for_the_host_of_one_of_ours_stays():
    found = led(an_ingress({"host": "other.example.com", "http": {"paths": [TEA]}}), HOST, "a")
    found["spec"]["rules"].append({"host": HOST})

    assert without_challenge_path(found, HOST, "a")["spec"]["rules"][1:] == [{"host": HOST}]


def test_a_rule_without_paths_is_without_them_again():
    before = an_ingress({"host": HOST})
    found = led(before, HOST, "a")

    assert paths(found) == [OURS]
    assert without_challenge_path(found, HOST, "a") == before


def test_an_ingress_without_rules_or_annotations_is_without_them_again():
    before = an_ingress()
    del before["spec"]["rules"], before["metadata"]["annotations"]
    found = led(before, HOST, "a")

    assert paths(found) == [OURS]
    assert as_bytes(without_challenge_path(found, HOST, "a")) == as_bytes(before)


@pytest.mark.parametrize("covering", [{"host": "*.example.com"}, {}])
def test_a_host_that_another_rule_serves_gets_no_rule_that_would_hide_its_paths(covering):
    before = an_ingress({**covering, "http": {"paths": [TEA]}})
    found = led(before, HOST, "a")

    assert found["spec"]["rules"] == [{**covering, "http": {"paths": [alone(HOST, "a"), TEA]}}]
    assert without_challenge_path(found, HOST, "a") == before


def test_a_wildcard_is_for_one_label_only():
    found = led(an_ingress({"host": "*.example.com", "http": {"paths": [TEA]}}), "a.b.example.com", "a")

    assert [rule["host"] for rule in found["spec"]["rules"]] == ["*.example.com", "a.b.example.com"]


def test_an_ip_address_goes_by_the_rule_of_every_host():
    before = an_ingress()
    found = led(before, "192.0.2.1", "a")

    assert found["spec"]["rules"] == [
        *before["spec"]["rules"],
        {"http": {"paths": [alone("192.0.2.1", "a")]}},
    ]
    assert without_challenge_path(found, "192.0.2.1", "a") == before


@pytest.mark.parametrize("host", [{"host": HOST}, {"host": "*.example.com"}, {}])
@pytest.mark.parametrize("path_type", ["Prefix", "Exact", "ImplementationSpecific"])
@pytest.mark.parametrize(
    "spelling",
    ["/.well-known/acme-challenge", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/token"],
)
def test_a_path_of_the_user_for_other_challenges_stays_beside_ours(host, path_type, spelling):
    before = an_ingress({**host, "http": {"paths": [TEA, a_path(spelling, path_type), COFFEE]}})
    found = led(before, HOST, "a")

    assert paths(found) == [OURS, *paths(before)]
    assert without_challenge_path(found, HOST, "a") == before


def test_two_certificates_for_one_host_have_each_its_path_until_it_is_done():
    before = an_ingress()
    both = led(led(before, HOST, "a"), HOST, "b")
    assert paths(both) == [OURS, alone(HOST, "b"), TEA, COFFEE]
    assert certificates_served(both) == {"a", "b"}

    one = without_challenge_path(both, HOST, "a")
    assert paths(one) == [alone(HOST, "b"), TEA, COFFEE]

    assert without_challenge_path(one, HOST, "b") == before


def test_two_certificates_of_one_order_share_its_path():
    """A CA gives two that ask for the same the same order."""
    before = an_ingress()
    both = with_challenge_path(with_challenge_path(before, HOST, "a", "token"), HOST, "b", "token")
    assert paths(both) == [challenge_path("token"), TEA, COFFEE]

    one = without_challenge_path(both, HOST, "a")
    assert paths(one) == [challenge_path("token"), TEA, COFFEE]

    assert without_challenge_path(one, HOST, "b") == before


@pytest.mark.parametrize("covering", [{"host": "*.example.com"}, {}])
def test_a_rule_of_several_hosts_serves_the_tokens_of_its_own_challenges_only(
    covering,
):
    before = an_ingress({**covering, "http": {"paths": [TEA]}})
    both = led(led(before, "a.example.com", "one"), "b.example.com", "two")
    assert paths(both) == [alone("a.example.com", "one"), alone("b.example.com", "two"), TEA]
    assert paths(both)[0]["path"] == "/.well-known/acme-challenge/a_example_com-one"
    assert paths(both)[0]["pathType"] == "Exact"

    one = without_challenge_path(both, "a.example.com", "one")
    assert paths(one) == [alone("b.example.com", "two"), TEA]

    assert without_challenge_path(one, "b.example.com", "two") == before


def test_the_token_of_a_new_order_takes_the_place_of_the_former():
    before = an_ingress({"host": "*.example.com", "http": {"paths": [TEA]}})
    found = with_challenge_path(led(before, HOST, "a"), HOST, "a", "another")

    assert paths(found) == [challenge_path("another"), TEA]
    assert without_challenge_path(found, HOST, "a") == before


def test_two_ip_addresses_share_a_rule_with_the_token_of_each():
    before = an_ingress()
    both = led(led(before, "192.0.2.1", "a"), "192.0.2.2", "a")

    assert both["spec"]["rules"][1:] == [
        {"http": {"paths": [alone("192.0.2.1", "a"), alone("192.0.2.2", "a")]}}
    ]
    assert without_challenge_path(without_challenge_path(both, "192.0.2.1", "a"), "192.0.2.2", "a") == before


@pytest.mark.parametrize(
    "before", [{"host": HOST}, {"host": HOST, "http": {"paths": [TEA]}}], ids=["no paths", "paths"]
)
def test_a_rule_whose_host_changes_in_mid_challenge_stays_with_all_the_users_paths(before):
    found = led(an_ingress(before), HOST, "a")
    found["spec"]["rules"][0]["host"] = "new.example.com"
    again = led(found, HOST, "a")
    after = without_challenge_path(again, HOST, "a")

    assert again["spec"]["rules"] == [
        before | {"host": "new.example.com"},
        {"host": HOST, "http": {"paths": [OURS]}},
    ]
    assert after["spec"]["rules"] == [before | {"host": "new.example.com"}]
    assert without_challenge_path(found, HOST, "a") == after


def test_certificates_that_are_over_are_taken_out_all_at_once():
    before = an_ingress()
    found = before
    for host, certificate in ((HOST, "a"), (HOST, "b"), ("new.example.com", "a"), ("192.0.2.1", "c")):
        found = led(found, host, certificate)

    only_b = without_certificates(found, {"a", "c", "nobody"})

    assert as_bytes(only_b) == as_bytes(led(before, HOST, "b"))
    assert without_certificates(only_b, {"a", "c"}) is None
    assert as_bytes(without_certificates(only_b, {"b"})) == as_bytes(before)


def test_a_manifest_that_is_applied_again_in_mid_challenge_gets_the_path_again():
    before = an_ingress()
    found = led(before, HOST, "a")
    found["spec"] = copy.deepcopy(
        before["spec"]
    )  # kubectl apply: a list is replaced, annotations of others stay

    again = led(found, HOST, "a")
    assert paths(again) == [OURS, TEA, COFFEE]
    assert without_challenge_path(again, HOST, "a") == before


def test_an_ingress_that_is_replaced_in_mid_challenge_gets_the_path_again():
    changed = an_ingress({"host": HOST, "http": {"paths": [COFFEE]}})

    assert without_challenge_path(led(changed, HOST, "a"), HOST, "a") == changed


def test_what_the_user_changes_in_mid_challenge_stays_changed():
    found = led(an_ingress(), HOST, "a")
    paths(found)[1:] = [COFFEE]
    found["metadata"]["annotations"]["new"] = "x"
    after = without_challenge_path(found, HOST, "a")

    assert paths(after) == [COFFEE]
    assert after["metadata"]["annotations"]["new"] == "x"


UNREADABLE = (
    "not JSON",
    "[" * 100_000,
    "[]",
    '{"for": {"cert.example.com": 7}}',
    '{"for": {"cert.example.com": {"a": "../x"}}}',
)


@pytest.mark.parametrize("note", [None, *UNREADABLE, '{"for": null, "made": {}}'])
def test_the_path_is_taken_out_even_when_the_note_of_it_is_lost(note):
    found = led(an_ingress(), HOST, "a")
    found["metadata"]["annotations"] = {NOTE: note} if note else {}
    after = without_challenge_path(found, HOST, "a")

    assert paths(after) == [TEA, COFFEE]
    assert NOTE not in after["metadata"].get("annotations", {})


def test_a_rule_of_the_user_without_paths_stays_even_when_the_note_is_lost():
    found = led(an_ingress({"host": HOST}), HOST, "a")
    del found["metadata"]["annotations"][NOTE]

    assert without_challenge_path(found, HOST, "a")["spec"]["rules"] == [{"host": HOST}]


def test_a_path_that_leads_to_another_port_of_ours_is_put_right():
    found = led(an_ingress(), HOST, "a")
    paths(found)[0]["backend"]["service"]["port"]["number"] = 1

    assert paths(led(found, HOST, "a"))[0] == OURS


@pytest.mark.parametrize("path_type", ["Exact", "Prefix", "ImplementationSpecific"])
@pytest.mark.parametrize("service", ["cm-acme-http-solver-x7k2p", "tea-svc"])
def test_a_path_of_the_same_token_is_replaced_and_then_removed_whatever_its_backend(service, path_type):
    """cert-manager's, of the same order, or ours with another backend: nginx refuses two that are the
    same."""
    theirs = a_path(OURS["path"], path_type, service)
    before = an_ingress({"host": HOST, "http": {"paths": [TEA, theirs, COFFEE]}})

    found = led(before, HOST, "a")
    assert paths(found) == [TEA, OURS, COFFEE]
    assert paths(without_challenge_path(found, HOST, "a")) == [TEA, COFFEE]


def test_a_path_whose_backend_was_changed_in_mid_challenge_goes_with_the_challenge():
    found = led(an_ingress(), HOST, "a")
    paths(found)[0]["backend"]["service"]["name"] = "tea-svc"

    assert paths(led(found, HOST, "a")) == [OURS, TEA, COFFEE]
    assert paths(without_challenge_path(found, HOST, "a")) == [TEA, COFFEE]


def test_the_token_of_a_former_order_goes_though_its_backend_was_changed():
    found = led(an_ingress(), HOST, "a")
    paths(found)[0]["backend"]["service"]["name"] = "tea-svc"

    assert paths(with_challenge_path(found, HOST, "a", "another")) == [challenge_path("another"), TEA, COFFEE]


def test_a_path_of_the_same_token_for_another_host_is_not_ours():
    other = {"host": "other.example.com", "http": {"paths": [a_path(OURS["path"], "Exact")]}}
    before = an_ingress({"host": HOST, "http": {"paths": [TEA]}}, other)

    found = led(before, HOST, "a")
    assert found["spec"]["rules"][1] == other
    assert without_challenge_path(found, HOST, "a") == before


def test_a_path_to_our_service_that_leads_no_single_token_is_the_users():
    all_tokens = a_path("/.well-known/acme-challenge/", service="certmill-http01")
    before = an_ingress({"host": HOST, "http": {"paths": [TEA, all_tokens]}})

    found = led(before, HOST, "a")
    assert paths(found) == [OURS, TEA, all_tokens]
    assert without_challenge_path(found, HOST, "a") == before


def an_ingress_with(rules):
    return an_ingress() | {
        "spec": {"rules": rules} if rules else {"defaultBackend": {"service": {"name": "tea-svc"}}}
    }


HOSTS = st.sampled_from([HOST, "a.example.com", "*.example.com", "b.test", ""])
PATHS = st.builds(
    a_path,
    st.sampled_from(
        [
            "/",
            "/tea",
            "/coffee",
            "/.well-known",
            "/.well-known/acme-challenge",
            "/.well-known/acme-challenge/",
        ]
    ),
    st.sampled_from(["Prefix", "Exact", "ImplementationSpecific"]),
    st.sampled_from(["tea-svc", "coffee-svc"]),
)
RULES = st.builds(
    lambda host, found: ({"host": host} if host else {}) | ({"http": {"paths": found}} if found else {}),
    HOSTS,
    st.lists(PATHS, max_size=4),
)
INGRESSES = st.lists(RULES, max_size=4).map(an_ingress_with)
NEEDS = st.tuples(
    st.sampled_from([HOST, "a.example.com", "c.d.test", "192.0.2.1", "192.0.2.2"]),
    st.sampled_from(["one", "two"]),
)


@given(INGRESSES, NEEDS)
def test_adding_and_taking_out_gives_the_same_ingress(before, need):
    host, certificate = need
    found = led(before, host, certificate)

    assert as_bytes(without_challenge_path(found, host, certificate)) == as_bytes(before)


@given(INGRESSES, st.lists(NEEDS, min_size=1, max_size=6), st.randoms())
def test_challenges_in_any_order_leave_the_same_ingress(before, needs, random):
    found = before
    for host, certificate in needs:
        found = led(found, host, certificate) or found
        assert led(found, host, certificate) is None
    ending = sorted(set(needs))
    random.shuffle(ending)
    for host, certificate in ending:
        assert served(found) == set(ending[ending.index((host, certificate)) :])
        found = without_challenge_path(found, host, certificate) or found

    assert as_bytes(found) == as_bytes(before)


def served(ingress):
    note = json.loads(ingress["metadata"]["annotations"][NOTE])
    return {(host, one) for host, tokens in note["for"].items() for one in tokens}
