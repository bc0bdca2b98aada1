"""The facts of a run survive their JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import FailureClass
from certmill.runs.facts import ChallengeFacts, Facts, Failure, Stored

texts = st.text(max_size=20)
times = st.floats(1, 4e9)
challenges = st.builds(
    ChallengeFacts,
    authorization=texts,
    url=texts,
    type=st.sampled_from(["dns-01", "http-01"]),
    token=texts,
    identifier=texts,
    wildcard=st.booleans(),
    record_name=texts,
    zone=texts,
    value=texts,
)
facts = st.builds(
    Facts,
    account=texts,
    csr=texts,
    order=texts,
    authorizations=st.lists(texts, max_size=3).map(tuple),
    order_expires=st.none() | times,
    challenges=st.lists(challenges, max_size=3).map(tuple),
    presented_at=st.none() | times,
    answered_at=st.none() | times,
    stored=st.none() | st.builds(Stored, serial=texts, not_before=times, not_after=times),
    failure=st.none()
    | st.builds(Failure, failure_class=st.sampled_from(FailureClass), message=texts, next_attempt=times),
    restarts=st.integers(0, 9),
)


@given(facts)
def test_facts_come_back_from_json_as_they_were(given_facts):
    assert Facts.from_json(given_facts.to_json()) == given_facts


def test_no_json_is_a_run_that_has_found_out_nothing():
    assert Facts.from_json("") == Facts()


def test_what_a_next_run_may_go_on_with_is_the_order_and_its_csr_only():
    failed = Facts(
        order="o", csr="c", finalize="f", authorizations=("a",), challenges=(), answered_at=1.0, restarts=3
    )

    assert failed.reusable() == Facts(order="o", csr="c", finalize="f", authorizations=("a",))


def test_the_route_of_a_challenge_has_in_json_the_name_that_older_releases_read():
    challenge = ChallengeFacts(
        authorization="a", url="u", type="http-01", token="t", identifier="i", route="own"
    )
    facts = Facts(challenges=(challenge,))

    assert json.loads(facts.to_json())["challenges"][0]["way"] == "own"
    assert Facts.from_json(facts.to_json()) == facts


def test_wait_reasons_keep_their_json_names_for_other_releases():
    text = '{"told":["5f3c"],"noted":["9a01"]}'
    facts = Facts.from_json(text)
    assert (facts.event_reasons, facts.status_reasons) == (("5f3c",), ("9a01",))
    assert facts.to_json() == text
