"""Distinguished names as text (RFC 4514)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certmill.model.distinguished_names import common_name, parse_name

CN, ORG, OU, DC = "2.5.4.3", "2.5.4.10", "2.5.4.11", "0.9.2342.19200300.100.1.25"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CN=Foo,OU=Bar,O=Baz", [[(ORG, "Baz")], [(OU, "Bar")], [(CN, "Foo")]]),
        (
            "O=jetstack, CN=example.com, 2.5.4.42=John",
            [[("2.5.4.42", "John")], [(CN, "example.com")], [(ORG, "jetstack")]],
        ),
        ("cn=a ; o = b", [[(ORG, "b")], [(CN, "a")]]),
        (
            "OU=Sales+CN=J. Smith,DC=example,DC=net",
            [[(DC, "net")], [(DC, "example")], [(OU, "Sales"), (CN, "J. Smith")]],
        ),
        (r"CN=James \"Jim\" Smith\, III", [[(CN, 'James "Jim" Smith, III')]]),
        (r"CN=Lu\C4\8Di\C4\87", [[(CN, "Lučić")]]),
        (r"O=\ a\ ,CN=b", [[(CN, "b")], [(ORG, " a ")]]),
        (r"O=a\\ ,CN=b", [[(CN, "b")], [(ORG, "a\\")]]),
        (r"O=a\#b=c", [[(ORG, "a#b=c")]]),
    ],
)
def test_a_name_is_read_into_the_order_of_the_certificate(text, name):
    assert [list(relative) for relative in parse_name(text)] == name


@pytest.mark.parametrize(
    "attribute", ["C", "O", "OU", "CN", "SERIALNUMBER", "L", "ST", "STREET", "DC", "UID"]
)
def test_every_attribute_that_cert_manager_knows_is_known(attribute):
    ((found,),) = parse_name(f"{attribute}=AT")

    assert parse_name(f"{found[0]}=AT") == ((found,),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not an attribute of a name"),
        ("example.com", "is not an attribute of a name"),
        ("CN=a,", "is not an attribute of a name"),
        (",CN=a", "is not an attribute of a name"),
        ("CN=a,,O=b", "is not an attribute of a name"),
        ("CN=a\\", "is not an attribute of a name"),
        ("Foo=a", "'Foo' is not a known attribute; known are"),
        ("3.5.4.3=a", "is not an attribute of a name"),
        ("CN=", "has no value"),
        ("CN= ,O=b", "has no value"),
        (r"CN=\zz", "not a valid escape"),
        (r"CN=\FF\FE", "not valid UTF-8"),
        ("1.3.6.1.4.1.1466.0=#04024869", "hexadecimal"),
    ],
)
def test_what_is_no_name_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        parse_name(text)


def test_the_common_name_is_found_wherever_it_stands():
    assert common_name(parse_name("O=a,OU=b+CN=web.example.com,DC=net")) == "web.example.com"
    assert common_name(parse_name("O=a")) == ""


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused_in_one_line(text):
    refused = ""
    try:
        parse_name(text)
    except ValueError as error:
        refused = str(error)

    assert "\n" not in refused


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5))
def test_every_value_can_be_written_with_escapes(values):
    escaped = ["".join(f"\\{byte:02X}" for byte in value.encode()) for value in values if value.isprintable()]

    if escaped:
        found = parse_name(",".join(f"O={value}" for value in escaped))
        assert [value for ((_, value),) in reversed(found)] == [
            value for value in values if value.isprintable()
        ]
