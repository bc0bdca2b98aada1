"""YAML as Kubernetes reads it, and nothing that a hostile file could do with it."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from certmill.errors import InvalidManifest
from certmill.model.manifests import yaml_documents
from certmill.model.manifests.yaml_documents import MAX_MANIFEST_BYTES, dump_yaml, read_documents


@pytest.fixture(params=["libyaml", "pure"])
def _parser(request, monkeypatch):
    """Where there is no libyaml, PyYAML's own parser reads."""
    if request.param == "pure":
        monkeypatch.setattr(yaml_documents, "_Loader", yaml.SafeLoader)


def only(text):
    (found,) = read_documents(text)
    return found


def refusal(text):
    found = only(text)
    assert isinstance(found, InvalidManifest), found
    return found


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b", {"a": "b"}),
        ("a: [1, -2, 1.5, 010, 0x1f, 1_000, 1:30]", {"a": [1, -2, 1.5, "010", "0x1f", "1_000", "1:30"]}),
        (
            "a: [yes, NO, on, off, true, False, y, n, tRUE]",
            {"a": [True, False, True, False, True, False, "y", "n", "tRUE"]},
        ),
        (
            "a: [~, null, '', 'null', \"1\", 2024-01-01, 2024-01-01T00:00:00Z]",
            {"a": [None, None, "", "null", "1", "2024-01-01", "2024-01-01T00:00:00Z"]},
        ),
        ("a: !!str 123", {"a": "123"}),
        ("a: !!int 123", {"a": 123}),
        ("a: 1e3", {"a": "1e3"}),
        ("a: .nan", {"a": ".nan"}),
        ("1: x\ntrue: y", {"1": "x", "true": "y"}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ('{\n  "a": 1,\n  "b": ["x"]\n}', {"a": 1, "b": ["x"]}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("- &x {a: 1}\n- &y {a: 2, b: 2}\n- {<<: [*x, *y]}", [{"a": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2}]),
        ("a: " + "9" * 30, {"a": "9" * 30}),
        ("\ufeffa: b", {"a": "b"}),
    ],
)
def test_yaml_is_read_as_kubernetes_reads_it(text, value):
    assert only(text) == value


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("a:\n  b: 1\n  b: 2", "a.b", "twice"),
        ("a: [{b: 1}, {b: 1, b: 2}]", "a[1].b", "twice"),
        ("a: !hunter2 x", "a", "tag"),
        ("a: !!python/object/apply:os.system [hunter2]", "a", "tag"),
        ("a: !!binary aGk=", "a", "tag"),
        ("a: !!int hunter2", "a", "tag"),
        ("a: !!set {hunter2}", "a", "tag"),
        ("a: *hunter2", "a", "alias"),
        ("a: &x [*x]", "a[0]", "alias"),
        ("? [hunter2]\n: b", "", "key"),
        ("&x a: 1\n*x : hunter2", "", "key"),
        ("a:\n  <<: hunter2", "a[<<]", "merge"),
    ],
)
def test_what_kubernetes_does_not_read_is_refused_with_its_path(text, path, says):
    error = refusal(text)

    assert error.path == path
    assert says in error.reason
    assert "hunter2" not in str(error)


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(
    "text",
    [
        "a: [hunter2",
        "a: 'hunter2",
        "a: b: hunter2",
        "\thunter2: x",
        "a: hunter2\n b: c",
        "%hunter2\n---",
        "a: @hunter2",
        "hunter2\x01",
    ],
)
def test_a_syntax_error_names_its_line_and_never_its_content(text):
    error = read_documents(f"a: 1\n---\n{text}")[1]

    assert isinstance(error, InvalidManifest)
    assert "not valid YAML" in str(error)
    assert "hunter2" not in str(error)


def test_the_line_of_a_syntax_error_counts_from_the_beginning_of_the_file():
    assert "(line 5)" in str(read_documents("a: 1\n---\nb: 2\nc: 3\nd: e: f\n")[1])


def test_json_may_be_indented_by_tabs():
    assert only('{\n\t"a": 1,\n\t"b": [\n\t\t"x"\n\t]\n}') == {"a": 1, "b": ["x"]}


def test_a_bad_document_does_not_spoil_the_others():
    found = read_documents("a: 1\n--- # two\n: :\n  - [\n---\nb: '\n---\nc: 3\n")

    assert [type(one) for one in found] == [dict, InvalidManifest, InvalidManifest, dict]
    assert found[3] == {"c": 3}


def test_empty_documents_and_comments_are_none():
    assert read_documents("---\n# nothing\n---\n---\na: 1\n---\n~\n...\n") == [{"a": 1}]


def test_a_yaml_directive_belongs_to_its_document():
    assert read_documents("# two\n%YAML 1.1\n---\na: 1\n") == [{"a": 1}]


def test_a_separator_inside_an_indented_block_is_text():
    assert only("a: |\n  ---\n  x\n") == {"a": "---\nx\n"}


def bomb(levels):
    lines = ["l0: &l0 [xxxxxxxxxx]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(
    "text",
    [
        bomb(9),
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 100)}]",
        "\n---\n".join([bomb(5)] * 50),
        "- &m {" + ", ".join(f"k{n}: v" for n in range(1000)) + "}\n" + "- {<<: *m}\n" * 5000,
    ],
)
def test_a_yaml_bomb_is_refused_before_it_goes_off(text):
    errors = [one for one in read_documents(text) if isinstance(one, InvalidManifest)]

    assert errors
    assert all("aliases" in str(error) for error in errors)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 1000, "- " * 1000 + "x", "a: [" * 65])
def test_deep_nesting_is_refused(text):
    assert isinstance(refusal(text), InvalidManifest)


@pytest.mark.parametrize(
    "text",
    ["a: " + "x" * MAX_MANIFEST_BYTES, "ü" * (MAX_MANIFEST_BYTES // 2 + 1), b"#" * (MAX_MANIFEST_BYTES + 1)],
)
def test_an_input_over_1_mib_is_refused(text):
    with pytest.raises(InvalidManifest, match="larger than 1048576 bytes"):
        read_documents(text)


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b"a: \xe4", "a: \ud800"])
def test_what_is_not_utf_8_is_refused(content):
    with pytest.raises(InvalidManifest, match="UTF-8"):
        read_documents(content)


@pytest.mark.parametrize("document", ["---\na\n", "---\n"])
def test_ten_thousand_documents_are_enough(document):
    with pytest.raises(InvalidManifest, match="more than 10000 documents"):
        read_documents(document * 10_001)


def test_what_is_shared_is_written_out_without_aliases():
    shared = {"x": [1]}

    assert only(dump_yaml({"a": shared, "b": shared})) == {"a": {"x": [1]}, "b": {"x": [1]}}
    assert "*" not in dump_yaml({"a": shared, "b": shared})


texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t:-#'\"{}[]&*!|>% "), max_size=40
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=5).filter(bool))
def test_what_was_written_reads_the_same(value):
    assert only(dump_yaml(value)) == value


@given(
    st.text(st.sampled_from("ab: -[]{}&*!|>'\"%#,\n\t?<~1\x00\ufeff"), max_size=60) | st.binary(max_size=60)
)
def test_any_input_gives_values_or_invalid_manifest(text):
    try:
        found = read_documents(text)
    except InvalidManifest:
        return
    assert all(isinstance(one, dict | list | str | int | float | bool | InvalidManifest) for one in found)
