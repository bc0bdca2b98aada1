"""What `certmill request` makes of its arguments."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.cli.commands.request import object_name, private_key
from certmill.errors import InvalidManifest

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ("web.example.com", "web.example.com"),
        ("*.Example.com", "wildcard.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001-db8--1"),
        ("::1", "1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("_dmarc.example.com", "dmarc.example.com"),
        ("...", "certificate"),
    ],
)
def test_a_certificate_is_named_after_its_first_name(first, name):
    assert object_name(first) == name


@given(st.text(max_size=300))
def test_a_name_that_was_made_up_is_always_one_that_kubernetes_allows(first):
    name = object_name(first)

    assert SUBDOMAIN.fullmatch(name)
    assert len(name) <= 253


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("", None),
        ("rsa-4096", {"algorithm": "RSA", "size": 4096}),
        ("ECDSA-256", {"algorithm": "ECDSA", "size": 256}),
        ("ecdsa", {"algorithm": "ECDSA"}),
        ("ed25519", {"algorithm": "Ed25519"}),
    ],
)
def test_a_key_is_said_in_one_word(text, spec):
    assert private_key(text) == spec


@pytest.mark.parametrize("text", ["ed25519-256", "ed448", "rsa2048", "rsa-20480", "ecdsa-256; x"])
def test_a_key_that_is_none_is_refused(text):
    with pytest.raises(InvalidManifest, match=r"--key: .* is not rsa-2048"):
        private_key(text)
