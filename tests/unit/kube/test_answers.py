"""What an answer of the API server is read into, whatever tenants have put into it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import Forbidden, HomeUnavailable
from certmill.kube.answers import error_of, parsed

DEEP = 30_000


def nested(opening, closing, content=b"1", depth=DEEP):
    return opening * depth + content + closing * depth


@pytest.mark.parametrize(
    "deep",
    [nested(b'{"a":', b"}"), nested(b"[", b"]"), nested(b'[{"a":', b"}]"), nested(b"[", b"]", rb'"\"]}{["')],
)
def test_one_object_that_is_nested_too_deeply_does_not_hide_the_others(deep):
    """A webhook's config in an Issuer may hold anything, and the API server takes ten thousand levels."""
    text = b'{"items": [{"spec": %s, "name": "]}\\"\\\\"}, {"name": "{[\\\\\\""}]}' % deep

    first, second = parsed(text, "list issuers")["items"]

    assert (first["name"], second["name"]) == (']}"\\', '{[\\"')
    assert json.dumps(first).count("null") == 1


@given(
    st.recursive(
        st.text() | st.none() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_beside_it_is_read_as_it_is(value):
    text = (
        json.dumps({"before": value, "deep": None, "after": value})
        .encode()
        .replace(b'"deep": null', b'"deep": ' + nested(b"[", b"]"))
    )

    found = parsed(text, "read it")

    assert (found["before"], found["after"]) == (value, value)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"[" * DEEP, b'"' + b"\\" * 9, nested(b"[", b"}")])
def test_what_is_no_object_is_no_api_server(text):
    with pytest.raises(HomeUnavailable, match=r"not valid JSON|not a JSON object"):
        parsed(text, "read it")


def test_an_owner_whose_kind_the_server_has_not_yet_taken_in_is_no_missing_right():
    """The admission of owners (OpenShift has it) learns of a new CustomResourceDefinition some seconds
    late."""
    words = (
        'certificates.cert-manager.io "cafe" is forbidden: cannot set blockOwnerDeletion in this case '
        "because cannot find RESTMapping for "
        'APIVersion k8s.nginx.org/v1 Kind VirtualServer: no matches for kind "VirtualServer" in version '
        '"k8s.nginx.org/v1"'
    )

    error = error_of(403, {"kind": "Status", "message": words}, {}, "create Certificate a/cafe")

    assert isinstance(error, HomeUnavailable)
    assert "VirtualServer" in str(error)
    assert "roles" not in str(error)
    assert isinstance(
        error_of(403, {"kind": "Status", "message": "is forbidden: no"}, {}, "create it"), Forbidden
    )
