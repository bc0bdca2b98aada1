"""What may be a name, and in which form it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.model.identifiers import (
    annotation_pairs,
    dns_name,
    field_path,
    host_and_port,
    ip_address,
    label_pairs,
    namespace_name,
    object_name,
    secret_key,
)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("example.com", "example.com"),
        ("WWW.Example.COM", "www.example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("a--b.example", "a--b.example"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
        ("1.example", "1.example"),
    ],
)
def test_a_dns_name_is_kept_in_lower_case_a_labels(written, kept):
    assert dns_name(written) == kept


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "not a valid DNS name"),
        (".", "ends with a dot"),
        ("example.com.", "ends with a dot"),
        ("bücher.example。", "no"),
        ("a..b", "not a valid DNS name"),
        ("-a.example", "not a valid DNS name"),
        ("a-.example", "not a valid DNS name"),
        ("a_b.example", "not a valid DNS name"),
        ("a b.example", "not a valid DNS name"),
        ("example.com\n", "not a valid DNS name"),
        ("a/b", "not a valid DNS name"),
        ("https://example.com", "not a valid DNS name"),
        ("example.com:443", "not a valid DNS name"),
        ("*", r"'\*'"),
        ("*.", "not a valid DNS name"),
        ("*.*.example.com", r"'\*'"),
        ("a*.example.com", r"'\*'"),
        ("www.*.example.com", r"'\*'"),
        ("192.0.2.1", "ipAddresses"),
        ("2001:db8::1", "ipAddresses"),
        ("\uff11\uff19\uff12.0.2.1", "ipAddresses"),
        ("*.192.0.2.1", "ipAddresses"),
        ("999.0.2.1", "not a valid DNS name"),
        (f"{'a' * 64}.example", "not a valid DNS name"),
        (".".join(["a" * 50] * 6), "longer"),
        ("ü" * 5000, "longer"),
        ("xn--99999999999.example", "not a valid DNS name"),
        ("xn--.example", "not a valid DNS name"),
        ("\u200d.example", "not a valid international DNS name"),
        ("ü\ud800.example", "not a valid international DNS name"),
    ],
)
def test_what_is_no_dns_name_is_refused(written, says):
    with pytest.raises(ValueError, match=says):
        dns_name(written)


@given(
    st.text(max_size=80) | st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=59).map("xn--{}".format)
)
def test_any_text_is_a_canonical_dns_name_or_refused_in_one_line(text):
    try:
        kept, message = dns_name(text), ""
    except ValueError as error:
        kept, message = None, str(error)

    assert "\n" not in message
    if kept is not None:
        assert dns_name(kept) == kept
        assert kept.isascii()
        assert kept == kept.lower()


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_ip_address_is_kept_in_its_canonical_form(written, kept):
    assert ip_address(written) == kept


@pytest.mark.parametrize(
    "written",
    ["", "192.0.2", "192.0.2.01", "192.0.2.0/24", "fe80::1%eth0", "[::1]", "localhost", " 192.0.2.1", "1"],
)
def test_what_is_no_ip_address_is_refused(written):
    with pytest.raises(ValueError, match=r"IP address|zone"):
        ip_address(written)


@pytest.mark.parametrize("name", ["a", "web-1", "a.b", "0", "a" * 253, "a" * 100 + "." + "b" * 100])
def test_names_that_kubernetes_allows_are_names_of_objects(name):
    assert object_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "a_b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "..",
        "../a",
        "a/b",
        "a\\b",
        "a\n",
        "a\x00",
        "a" * 254,
        "ü",
    ],
)
def test_nothing_else_is_the_name_of_an_object(name):
    with pytest.raises(ValueError, match=r"required|not a valid object name"):
        object_name(name)


@pytest.mark.parametrize("name", ["", "a.b", "a" * 64, "..", "a/b", "A", "a\n"])
def test_a_namespace_is_one_label(name):
    with pytest.raises(ValueError, match="not a valid namespace"):
        namespace_name(name)


@pytest.mark.parametrize("key", ["", ".", "..", "..a", "a/b", "a b", "ü", "a\n", "a" * 254])
def test_what_is_no_key_of_a_secret_is_refused(key):
    with pytest.raises(ValueError, match="not a valid key"):
        secret_key(key)


def test_keys_of_a_secret_may_begin_with_one_dot():
    assert secret_key(".dockerconfigjson") == ".dockerconfigjson"


@pytest.mark.parametrize(
    "pairs",
    [
        {"": "x"},
        {"a b": "x"},
        {"/a": "x"},
        {"a/": "x"},
        {"A.com/a": "x"},
        {"a/b/c": "x"},
        {"a" * 64: "x"},
        {"a": "x" * 64},
        {"a": "-x"},
        {"a": "x y"},
    ],
)
def test_labels_are_held_to_kubernetes_rules(pairs):
    with pytest.raises(ValueError, match=r"not a valid key|not valid for a label"):
        label_pairs(pairs)


def test_a_label_may_have_a_prefix_and_an_empty_value():
    assert label_pairs({"example.com/Team": "", "a_b": "X.1"}) == {"example.com/Team": "", "a_b": "X.1"}


def test_annotations_hold_any_text_up_to_256_kib():
    assert annotation_pairs({"Example.com/a": "x y\nz"}) == {"Example.com/a": "x y\nz"}

    with pytest.raises(ValueError, match="larger"):
        annotation_pairs({"a": "x" * 300_000})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", None)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("[2001:DB8::1]:53", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("Dns.example.com:853", ("dns.example.com", 853)),
    ],
)
def test_addresses_with_ports_are_read(text, address):
    assert host_and_port(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":53",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:x",
        "[::1",
        "[a]:53",
        "a b",
        "a:1:2",
        "*.a*:1",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"address|port|DNS name|'\*'"):
        host_and_port(text)


def test_a_path_stays_on_one_line_and_short():
    path = field_path(("metadata", "annotations", "a.b/c", 3, "x\ny", "k" * 500, None))

    assert path.startswith(r"metadata.annotations[a.b/c][3][x\ny][kkk")
    assert len(path) < 150
