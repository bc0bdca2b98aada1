"""Edit in place: add the path of a challenge to the user's Ingress, and remove it after the challenge. Pure.

An annotation (NOTE) records which Certificates need which names, and which rules were created for them.
Therefore several Certificates can share a rule, and the user's rules are restored afterwards; changes that
the user made meanwhile are kept. Each call computes the whole Ingress again, so paths that were lost because
somebody applied the manifest again are restored. Our paths contain one token (http01.ingress says why) and
come before the user's paths.

A path is ours if its host and its exact token are ours, whatever its backend is, because nginx refuses two
equal paths. So a path whose backend was changed, or that cert-manager left there, is replaced, and removed
after the challenge."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from certmill.http01.base import WELL_KNOWN_PATH, is_token
from certmill.http01.ingress import challenge_path, challenge_rule, rule_host
from certmill.http01.service import SERVICE_NAME
from certmill.kube.objects import JsonObject, mapping, meta_of, sequence, text

NOTE: Final = "certmill.io/http01-challenges"
"""The annotation, JSON: `for` maps each name to its Certificates and their tokens; `made` lists the hosts of
rules that were created."""

MERGEABLE: Final = "nginx.org/mergeable-ingress-type"
"""The NGINX Ingress Controller's annotation: `master` or `minion`."""

Rule = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    needed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Name -> Certificate -> token."""

    made: frozenset[str] = frozenset()
    """The hosts of the rules that were created for challenges. They are removed when they have no path
    left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """Which paths are ours."""

    tokens: Mapping[str, frozenset[str]]
    """Host of a rule -> the tokens of its current and previous challenges."""

    def has(self, rule: Rule, path: Mapping[str, object]) -> bool:
        """Whether `path` is for one of these tokens, or for any token with our Service as its backend (the
        annotation was lost)."""
        where = text(path.get("path"))
        token = where.removeprefix(WELL_KNOWN_PATH)
        if token == where or not is_token(token):
            return False
        service = mapping(mapping(path.get("backend")).get("service"))
        return token in self.tokens.get(_host(rule), ()) or service.get("name") == SERVICE_NAME

    def is_in(self, rule: Rule) -> bool:
        """Whether a path of the rule is ours."""
        return any(self.has(rule, path) for path in _paths(rule))


def _own(*notes: _Note) -> _Own:
    tokens: dict[str, set[str]] = {}
    for note in notes:
        for host, needed in note.needed.items():
            for answering in _answering(host):
                tokens.setdefault(answering, set()).update(needed.values())
    return _Own(tokens={host: frozenset(found) for host, found in tokens.items()})


def with_challenge_path(
    ingress: Mapping[str, object], host: str, certificate: str, token: str
) -> JsonObject | None:
    """The Ingress with the path for a Certificate's challenge at `host`; None if nothing has to change."""
    note = _note_of(ingress)
    needed = {**note.needed, host: {**note.needed.get(host, {}), certificate: token}}
    return _settled(ingress, note, replace(note, needed=needed))


def without_challenge_path(ingress: Mapping[str, object], host: str, certificate: str) -> JsonObject | None:
    """The Ingress without the path for a Certificate's challenge at `host`; None if nothing has to change."""
    return _without(ingress, lambda each, name: (each, name) == (host, certificate))


def without_certificates(ingress: Mapping[str, object], names: Collection[str]) -> JsonObject | None:
    """The Ingress without the paths for these Certificates' challenges; None if nothing has to change."""
    return _without(ingress, lambda _, name: name in names)


def is_master(ingress: Mapping[str, object]) -> bool:
    """Whether the Ingress is a master of mergeable Ingresses. NGINX refuses a master that has a path,
    together with all its minions."""
    return meta_of(ingress).annotations.get(MERGEABLE) == "master"


def certificates_served(ingress: Mapping[str, object]) -> frozenset[str]:
    """The names of the Certificates that have a challenge path in this Ingress."""
    return frozenset(name for tokens in _note_of(ingress).needed.values() for name in tokens)


def _without(ingress: Mapping[str, object], is_over: Callable[[str, str], bool]) -> JsonObject | None:
    """The Ingress without the challenges for which `is_over(host, certificate name)` is true."""
    note = _note_of(ingress)
    needed = {
        host: {name: token for name, token in tokens.items() if not is_over(host, name)}
        for host, tokens in note.needed.items()
    }
    return _settled(
        ingress, note, replace(note, needed={host: tokens for host, tokens in needed.items() if tokens})
    )


def _settled(ingress: Mapping[str, object], former: _Note, note: _Note) -> JsonObject | None:
    own = _own(former, note)
    spec = mapping(ingress.get("spec"))
    rules = [mapping(rule) for rule in sequence(spec.get("rules"))]
    made = note.made & _hosts_led(rules, own)
    leading: dict[int, set[str]] = {}
    for host, tokens in sorted(note.needed.items()):
        place = _place(rules, host)
        if place is None:
            place = len(rules)
            rules.append(challenge_rule(rule_host(host)))
            made |= {rule_host(host)}
        leading.setdefault(place, set()).update(tokens.values())
    settled = [(rule, _with_paths_of(rule, leading.get(place, ()), own)) for place, rule in enumerate(rules)]
    rules = [
        after
        for before, after in settled
        if _paths(after) or not own.is_in(before) or _host(before) not in made
    ]
    changed = _with_note(
        {**ingress, "spec": _with(spec, "rules", rules)}, replace(note, made=made & _hosts_led(rules, own))
    )
    return changed if changed != ingress else None


def _place(rules: list[Rule], host: str) -> int | None:
    """The index of the rule that serves `host`: its own rule, else the rule of its wildcard, else the rule
    without a host, else None.

    If one of the last two exists, a new rule for `host` would hide its paths while the challenge runs."""
    hosts = [_host(rule) for rule in rules]
    return next((hosts.index(answering) for answering in _answering(host) if answering in hosts), None)


def _answering(host: str) -> tuple[str, ...]:
    """The hosts of the rules that can serve `host`, the most specific first."""
    return (host, f"*.{host.partition('.')[2]}", "") if rule_host(host) else ("",)


def _host(rule: Rule) -> str:
    return text(rule.get("host"))


def _paths(rule: Rule) -> list[Mapping[str, object]]:
    return [mapping(path) for path in sequence(mapping(rule.get("http")).get("paths"))]


def _hosts_led(rules: list[Rule], own: _Own) -> frozenset[str]:
    return frozenset(_host(rule) for rule in rules if own.is_in(rule))


def _with_paths_of(rule: Rule, tokens: Collection[str], own: _Own) -> Rule:
    """The rule with challenge paths for exactly these tokens: at the place of the previous ones, else before
    all paths. A rule without any path has no `http`, because the API refuses an empty list."""
    paths = _paths(rule)
    place = next((place for place, path in enumerate(paths) if own.has(rule, path)), 0)
    theirs = [path for path in paths if not own.has(rule, path)]
    wanted = [*theirs[:place], *(challenge_path(token) for token in sorted(tokens)), *theirs[place:]]
    if wanted == paths:
        return rule
    return (
        {**rule, "http": {**mapping(rule.get("http")), "paths": wanted}}
        if wanted
        else _with(rule, "http", None)
    )


def _with(body: Mapping[str, object], name: str, value: object) -> JsonObject:
    """`body` with this member; without the member if `value` is empty."""
    return {**body, name: value} if value else {key: other for key, other in body.items() if key != name}


def _note_of(ingress: Mapping[str, object]) -> _Note:
    """What was noted. One that cannot be read is no note: then our path is taken out of where it is found,
    and no more."""
    try:
        note = mapping(json.loads(meta_of(ingress).annotations.get(NOTE, "{}")))
    except (ValueError, RecursionError):
        return _Note()
    needed = {
        host: {name: text(token) for name, token in mapping(tokens).items() if is_token(text(token))}
        for host, tokens in mapping(note.get("for")).items()
    }
    made = frozenset(text(host) for host in sequence(note.get("made")))
    return _Note(needed={host: tokens for host, tokens in needed.items() if tokens}, made=made)


def _with_note(ingress: JsonObject, note: _Note) -> JsonObject:
    metadata = mapping(ingress.get("metadata"))
    content = {
        "for": {host: dict(sorted(tokens.items())) for host, tokens in sorted(note.needed.items())},
        "made": sorted(note.made),
    }
    written = json.dumps(content, separators=(",", ":")) if note.needed else ""
    annotations = _with(mapping(metadata.get("annotations")), NOTE, written)
    return {**ingress, "metadata": _with(metadata, "annotations", annotations)}
