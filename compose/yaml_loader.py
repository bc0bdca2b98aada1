"""Reads YAML with PyYAML's safe loader in C, if PyYAML was built with libyaml: without C a CRD takes a second
of CPU."""

from __future__ import annotations

from typing import Any

import yaml

_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_documents(text: str) -> list[Any]:
    """All documents in `text`; an empty one is None. Raises yaml.YAMLError."""
    return list(yaml.load_all(text, Loader=_LOADER))


def load_document(text: str) -> Any:  # noqa: ANN401
    """The only document in `text`. Raises yaml.YAMLError; ValueError if there is not exactly one."""
    (document,) = load_documents(text)
    return document
