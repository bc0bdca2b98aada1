"""Edit in place: the challenge's path in the user's own Ingress, for as long as a challenge needs it. Pure.

A note in an annotation says which Certificates need which names, and how to undo what was changed; so several can share a path, and the
user's rules are afterwards what they were, but for what the user has changed meanwhile. Each call settles the whole Ingress: the path is in
exactly those rules whose names are needed, also after somebody has applied the manifest again and so taken it out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from certmill.http01.ingress import CHALLENGE_PATH, challenge_path, challenge_rule, rule_host
from certmill.http01.service import SERVICE_NAME
from certmill.kube.objects import JsonObject, mapping, meta_of, sequence, text

NOTE: Final = "certmill.io/http01-challenges"
"""The annotation, JSON: `for` (the names, each with its Certificates) and `undo` (by the host of a rule)."""

_HTTP: Final = "http"

Rule = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    needed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The Certificates that need a name."""

    undo: Mapping[str, object] = field(default_factory=dict)
    """By the host of a rule: its http was made too (`http`), or this path of the user's had been there (itself). Else there is no more to
    undo than the path, and a rule that is left with none was made for it."""


def with_challenge_path(ingress: Mapping[str, object], host: str, certificate: str) -> JsonObject | None:
    """The Ingress with the path that a Certificate's challenge for `host` needs; None if it is there."""
    note, key = _note_of(ingress), rule_host(host)
    needed = {**note.needed, key: note.needed.get(key, frozenset()) | {certificate}}
    return _settled(ingress, replace(note, needed=needed))


def without_challenge_path(ingress: Mapping[str, object], host: str, certificate: str) -> JsonObject | None:
    """The Ingress without the path, if no other challenge needs it; None if there is nothing to change."""
    note, key = _note_of(ingress), rule_host(host)
    needed = {**note.needed, key: note.needed.get(key, frozenset()) - {certificate}}
    return _settled(ingress, replace(note, needed={name: names for name, names in needed.items() if names}))


def certificates_served(ingress: Mapping[str, object]) -> Mapping[str, frozenset[str]]:
    """The names that have the path for a challenge, "" for an IP address, and the Certificates that need it: for who clears up."""
    return _note_of(ingress).needed


def _settled(ingress: Mapping[str, object], note: _Note) -> JsonObject | None:
    spec = mapping(ingress.get("spec"))
    rules = [mapping(rule) for rule in sequence(spec.get("rules"))]
    undo = dict(note.undo)
    for host in note.needed:
        _ensure(rules, host, undo)
    leading = {_place(rules, host) for host in note.needed}
    rules = [left for place, rule in enumerate(rules) for left in ([rule] if place in leading else _cleared(rule, undo))]
    undo = {host: how for host, how in undo.items() if any(_is_led(rule) and _host(rule) == host for rule in rules)}
    changed = _with_note({**ingress, "spec": _with(spec, "rules", rules)}, replace(note, undo=undo))
    return changed if changed != ingress else None


def _ensure(rules: list[Rule], host: str, undo: dict[str, object]) -> None:
    """Put the path into the rule that answers for `host`, or into a new one; into a rule that has it, as it should be."""
    place = _place(rules, host)
    if place is None:
        undo.pop(host, None)
        rules.append(challenge_rule(host))
        return
    rule = rules[place]
    if not _is_led(rule):
        rule, how = _led(rule)
        undo.pop(_host(rule), None)
        undo |= {_host(rule): how} if how else {}
    rules[place] = _with_paths(rule, [challenge_path() if _is_ours(path) else path for path in _paths(rule)])


def _place(rules: list[Rule], host: str) -> int | None:
    """Where the rule is that answers for `host`: its own, else that of its wildcard or of every host, else none.

    A new rule beside one of the latter two would take the name's other paths away from it while the challenge runs.
    """
    hosts = [_host(rule) for rule in rules]
    found = (hosts.index(candidate) for candidate in (host, f"*.{host.partition('.')[2]}", "") if candidate in hosts)
    return next(found, None)


def _host(rule: Rule) -> str:
    return text(rule.get("host"))


def _paths(rule: Rule) -> list[Mapping[str, object]]:
    return [mapping(path) for path in sequence(mapping(rule.get("http")).get("paths"))]


def _is_ours(path: Mapping[str, object]) -> bool:
    service = mapping(mapping(path.get("backend")).get("service"))
    return path.get("path") == CHALLENGE_PATH and service.get("name") == SERVICE_NAME


def _is_led(rule: Rule) -> bool:
    return any(_is_ours(path) for path in _paths(rule))


def _is_in_the_way(path: Mapping[str, object]) -> bool:
    """Whether a path of the user means the same as ours: two of one path confuse ingress controllers."""
    return text(path.get("path")).rstrip("/") == CHALLENGE_PATH and path.get("pathType") != "Exact" and not _is_ours(path)


def _led(rule: Rule) -> tuple[Rule, object]:
    """The rule with the path before all others, or in the place of one that means the same; and what else there is to undo."""
    paths = _paths(rule)
    taken = next((place for place, path in enumerate(paths) if _is_in_the_way(path)), None)
    if taken is not None:
        return _with_paths(rule, [*paths[:taken], challenge_path(), *paths[taken + 1 :]]), paths[taken]
    return _with_paths(rule, [challenge_path(), *paths]), None if paths else _HTTP


def _with_paths(rule: Rule, paths: list[Mapping[str, object]]) -> Rule:
    return {**rule, "http": {**mapping(rule.get("http")), "paths": paths}}


def _cleared(rule: Rule, undo: Mapping[str, object]) -> list[Rule]:
    """The rule without our path and with what was in its place; none if it was ours alone."""
    if not _is_led(rule):
        return [rule]
    how = undo.get(_host(rule))
    back = [mapping(how)] if _is_in_the_way(mapping(how)) else []  # the note is anybody's to write: it puts back nothing else
    paths = [left for path in _paths(rule) for left in (back if _is_ours(path) else [path])]
    if paths:
        return [_with_paths(rule, paths)]
    return [{name: value for name, value in rule.items() if name != "http"}] if how == _HTTP else []


def _with(body: Mapping[str, object], name: str, value: object) -> JsonObject:
    """`body` with this member in its place; without it if it is empty."""
    return {**body, name: value} if value else {key: other for key, other in body.items() if key != name}


def _note_of(ingress: Mapping[str, object]) -> _Note:
    """What was noted. One that cannot be read is no note: then our path is taken out of where it is found, and no more."""
    try:
        note = mapping(json.loads(meta_of(ingress).annotations.get(NOTE, "{}")))
    except (ValueError, RecursionError):
        return _Note()
    needed = {name: frozenset(text(one) for one in sequence(names) if text(one)) for name, names in mapping(note.get("for")).items()}
    return _Note(needed={name: names for name, names in needed.items() if names}, undo=mapping(note.get("undo")))


def _with_note(ingress: JsonObject, note: _Note) -> JsonObject:
    metadata = mapping(ingress.get("metadata"))
    content = {"for": {name: sorted(names) for name, names in sorted(note.needed.items())}, "undo": dict(sorted(note.undo.items()))}
    written = json.dumps(content, separators=(",", ":")) if note.needed else ""
    annotations = _with(mapping(metadata.get("annotations")), NOTE, written)
    return {**ingress, "metadata": _with(metadata, "annotations", annotations)}
