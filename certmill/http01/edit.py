"""Edit in place: the challenge's path in the user's own Ingress, for as long as a challenge needs it. Pure.

A note in an annotation says which Certificates need which names, and how to undo what was changed; so several can share a path, and the
user's rules are afterwards what they were, but for what the user has changed meanwhile. Each call settles the whole Ingress: the path is in
exactly those rules whose names are needed, also after somebody has applied the manifest again and so taken it out.

A rule of one host leads all its tokens to the responder: no other Certificate has one for that host then. A rule that answers for other
hosts too leads the tokens of its own challenges only, or a stranger could have any of those hosts validated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from certmill.http01.base import is_token
from certmill.http01.ingress import CHALLENGE_PATH, challenge_path, challenge_rule, is_challenge_path, rule_host
from certmill.http01.service import SERVICE_NAME
from certmill.kube.objects import JsonObject, mapping, meta_of, sequence, text

NOTE: Final = "certmill.io/http01-challenges"
"""The annotation, JSON: `for` (the names, each with its Certificates and their tokens) and `undo` (by the host of a rule)."""

_HTTP: Final = "http"

Rule = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    needed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By name, the tokens of the Certificates that need it."""

    undo: Mapping[str, object] = field(default_factory=dict)
    """By the host of a rule: its http was made too (`http`), or this path of the user's had been there (itself). Else there is no more to
    undo than the path, and a rule that is left with none was made for it."""


def with_challenge_path(ingress: Mapping[str, object], host: str, certificate: str, token: str) -> JsonObject | None:
    """The Ingress with the path that a Certificate's challenge for `host` needs; None if it is there."""
    note = _note_of(ingress)
    needed = {**note.needed, host: {**note.needed.get(host, {}), certificate: token}}
    return _settled(ingress, replace(note, needed=needed))


def without_challenge_path(ingress: Mapping[str, object], host: str, certificate: str) -> JsonObject | None:
    """The Ingress without the path, if no other challenge needs it; None if there is nothing to change."""
    note = _note_of(ingress)
    needed = {**note.needed, host: {name: token for name, token in note.needed.get(host, {}).items() if name != certificate}}
    return _settled(ingress, replace(note, needed={name: tokens for name, tokens in needed.items() if tokens}))


def certificates_served(ingress: Mapping[str, object]) -> Mapping[str, frozenset[str]]:
    """The names that have the path for a challenge, and the Certificates that need it: for who clears up."""
    return {host: frozenset(tokens) for host, tokens in _note_of(ingress).needed.items()}


def _settled(ingress: Mapping[str, object], note: _Note) -> JsonObject | None:
    spec = mapping(ingress.get("spec"))
    rules = [mapping(rule) for rule in sequence(spec.get("rules"))]
    undo = dict(note.undo)
    leading: dict[int, list[JsonObject]] = {}
    for host, tokens in sorted(note.needed.items()):
        place = _place(rules, host)
        if place is None:
            undo.pop(rule_host(host), None)
            place = len(rules)
            rules.append(challenge_rule(rule_host(host), *sorted(tokens.values())))
        leading.setdefault(place, []).extend(path for path in _needed_paths(rules[place], tokens) if path not in leading.get(place, ()))
    settled = [[_led(rule, leading[place], undo)] if place in leading else _cleared(rule, undo) for place, rule in enumerate(rules)]
    rules = [rule for left in settled for rule in left]
    undo = {host: how for host, how in undo.items() if any(_is_led(rule) and _host(rule) == host for rule in rules)}
    changed = _with_note({**ingress, "spec": _with(spec, "rules", rules)}, replace(note, undo=undo))
    return changed if changed != ingress else None


def _needed_paths(rule: Rule, tokens: Mapping[str, str]) -> list[JsonObject]:
    """Every token of a host's own rule; only these, of a rule that answers for others too."""
    host = _host(rule)
    return [challenge_path()] if host and not host.startswith("*") else [challenge_path(token) for token in sorted(tokens.values())]


def _place(rules: list[Rule], host: str) -> int | None:
    """Where the rule is that answers for `host`: its own, else that of its wildcard or of every host, else none.

    A new rule beside one of the latter two would take the name's other paths away from it while the challenge runs.
    """
    hosts = [_host(rule) for rule in rules]
    candidates = (host, f"*.{host.partition('.')[2]}", "") if rule_host(host) else ("",)
    return next((hosts.index(candidate) for candidate in candidates if candidate in hosts), None)


def _host(rule: Rule) -> str:
    return text(rule.get("host"))


def _paths(rule: Rule) -> list[Mapping[str, object]]:
    return [mapping(path) for path in sequence(mapping(rule.get("http")).get("paths"))]


def _is_ours(path: Mapping[str, object]) -> bool:
    service = mapping(mapping(path.get("backend")).get("service"))
    return is_challenge_path(text(path.get("path"))) and service.get("name") == SERVICE_NAME


def _is_led(rule: Rule) -> bool:
    return any(_is_ours(path) for path in _paths(rule))


def _is_in_the_way(path: Mapping[str, object]) -> bool:
    """Whether a path of the user means the same as ours: two of one path confuse ingress controllers."""
    return text(path.get("path")).rstrip("/") == CHALLENGE_PATH and path.get("pathType") != "Exact" and not _is_ours(path)


def _led(rule: Rule, ours: list[JsonObject], undo: dict[str, object]) -> Rule:
    """The rule with these paths before all others, or in the place of one that means the same; `undo` learns what else is to be undone."""
    paths = _paths(rule)
    place = next((place for place, path in enumerate(paths) if _is_ours(path)), None)
    if place is None:
        place, how = _room(paths, ours)
        undo.pop(_host(rule), None)
        undo |= {_host(rule): how} if how else {}
        paths = paths[:place] + paths[place + 1 :] if isinstance(how, Mapping) else paths
    before, after = ([path for path in part if not _is_ours(path)] for part in (paths[:place], paths[place:]))
    return _with_paths(rule, [*before, *ours, *after])


def _room(paths: list[Mapping[str, object]], ours: list[JsonObject]) -> tuple[int, object]:
    """Where our paths go, and what there is to undo besides: a path that gives way to them, or that there was none."""
    taken = next((place for place, path in enumerate(paths) if _is_in_the_way(path)), None)
    if taken is not None and challenge_path() in ours:
        return taken, paths[taken]
    return 0, None if paths else _HTTP


def _with_paths(rule: Rule, paths: list[Mapping[str, object]]) -> Rule:
    return {**rule, "http": {**mapping(rule.get("http")), "paths": paths}}


def _cleared(rule: Rule, undo: Mapping[str, object]) -> list[Rule]:
    """The rule without our paths and with what was in its place; none if it was ours alone."""
    if not _is_led(rule):
        return [rule]
    how = undo.get(_host(rule))
    back = [mapping(how)] if _is_in_the_way(mapping(how)) else []  # the note is anybody's to write: it puts back nothing else
    paths = _paths(rule)
    place = next(place for place, path in enumerate(paths) if _is_ours(path))
    paths = [*paths[:place], *back, *(path for path in paths[place:] if not _is_ours(path))]
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
    needed = {
        host: {name: text(token) for name, token in mapping(tokens).items() if is_token(text(token))}
        for host, tokens in mapping(note.get("for")).items()
    }
    return _Note(needed={host: tokens for host, tokens in needed.items() if tokens}, undo=mapping(note.get("undo")))


def _with_note(ingress: JsonObject, note: _Note) -> JsonObject:
    metadata = mapping(ingress.get("metadata"))
    content = {
        "for": {host: dict(sorted(tokens.items())) for host, tokens in sorted(note.needed.items())},
        "undo": dict(sorted(note.undo.items())),
    }
    written = json.dumps(content, separators=(",", ":")) if note.needed else ""
    annotations = _with(mapping(metadata.get("annotations")), NOTE, written)
    return {**ingress, "metadata": _with(metadata, "annotations", annotations)}
