from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import InvalidManifest
from certmill.http01.request import BadRequest, Request, canonical_host, parse, shared_hosts

PATH = "/.well-known/acme-challenge/abc"


def head(target=PATH, *fields, version="HTTP/1.1"):
    return "\r\n".join([f"GET {target} {version}", *fields, "", ""])


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (PATH, PATH),
        (f"{PATH}?x=/y", PATH),
        ("http://example.com/healthz", "/healthz"),
        ("HTTP://example.com:80/a/b?c", "/a/b"),
        ("http://example.com", "/"),
        ("*", "*"),
    ],
)
def test_the_path_is_found_in_every_form_of_target(target, path):
    assert parse(head(target, "Host: a.test")).path == path


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("example.com.", "example.com"),
        ("example.com:80", "example.com"),
        ("Example.com.:8080", "example.com"),
        ("example.com:", "example.com"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("bücher.example".encode().decode("latin-1"), "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
        ("a b", ""),
        ("a.test:80:80", ""),
        ("a.test/x", ""),
        ("[2001:db8::1", ""),
        ("[fe80::1%eth0]", ""),
        ("fe80::1%eth0", ""),
        ("\xff\xfe", ""),
        ("a" * 300, ""),
        ("user@example.com", ""),
    ],
)
def test_a_host_is_compared_as_certificates_name_it(authority, host):
    assert canonical_host(authority) == host


@given(st.text(max_size=400))
def test_whatever_a_client_sends_as_host_is_canonical_or_none(authority):
    host = canonical_host(authority.encode("utf-8", "replace").decode("latin-1"))

    assert canonical_host(host) == host
    assert host == host.lower()


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=300))
def test_whatever_a_client_sends_is_a_request_or_a_bad_one(text):
    with contextlib.suppress(BadRequest):
        assert isinstance(parse(text), Request)


def test_the_absolute_form_goes_over_the_host_field():
    """RFC 9112 §3.2.2."""
    assert parse(head(f"http://a.test:80{PATH}", "Host: b.test")) == Request(
        method="GET", path=PATH, host="a.test"
    )


def test_two_hosts_are_a_bad_request():
    """RFC 9112 §3.2."""
    with pytest.raises(BadRequest):
        parse(head(PATH, "Host: a.test", "host: a.test"))


def test_the_name_of_a_field_has_no_case_and_its_value_no_white_space():
    assert parse(head(PATH, "HOST: \t a.test \t")).host == "a.test"


def test_a_request_without_a_host_is_for_none():
    assert parse(head(PATH, version="HTTP/1.0")).host == ""


def test_shared_hosts_are_canonical_and_a_wrong_one_is_reported():
    assert shared_hosts(["ACME.example.", "127.0.0.1"]) == {"acme.example", "127.0.0.1"}
    with pytest.raises(InvalidManifest, match="CERTMILL_RESPONDER_SHARED_HOSTS: 'a b' is not a valid host"):
        shared_hosts(["a b"])
