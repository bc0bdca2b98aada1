"""Configure logging: a constant event name and keyword fields, as JSON or as columns, for certmill, Celery
and all other libraries.

    logger = get_logger(__name__)
    logger.info("step.advanced", certificate="default/web", step="validate")

The last processor masks secrets in messages and tracebacks of libraries. It is the second defence; the first
is that no code logs a secret. Levels: DEBUG for details of a step, INFO for changes, WARNING for failures
that are retried automatically, ERROR for failures that need a person."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED: Final = "[redacted]"
_MAX_TEXT: Final = 16_384
_MAX_DEPTH: Final = 6

_SECRET_WORDS: Final = frozenset(
    {
        "key",
        "keys",
        "token",
        "tokens",
        "secret",
        "secrets",
        "password",
        "passwd",
        "passphrase",
        "authorization",
        "hmac",
        "private",
        "credential",
    }
    | {"credentials", "cookie", "pem", "jwk"}
)
# `secret_name` (a Secret) and `key_id` (an EAB key) are identifiers, not secrets.
_HARMLESS_ENDINGS: Final = frozenset(
    {
        "name",
        "namespace",
        "id",
        "ref",
        "algorithm",
        "type",
        "size",
        "count",
        "bytes",
        "seconds",
        "file",
        "path",
    }
)
_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

_MASKS: Final = (
    (
        "PRIVATE KEY",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        "[redacted private key]",
    ),
    ("://", re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@]{0,256}:)[^\s\"']+@"), rf"\1{REDACTED}@"),
    ("", re.compile(r"\b(Bearer|Basic|token)\s+[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # RFC 8555 §8.1: a key authorization is the token, a dot, and a SHA-256 thumbprint.
    (
        ".",
        re.compile(r"\b[A-Za-z0-9_-]{16,128}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
        "[redacted key authorization]",
    ),
    ("/acme-challenge/", re.compile(r"(/acme-challenge/)[A-Za-z0-9_-]+"), rf"\1{REDACTED}"),
)
"""What is masked: a part of each match, so that most texts need no search; the pattern; the replacement."""
# A line break or an escape sequence in foreign text must not forge a log line or control the terminal.
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127) if chr(code) not in "\n\t"}

# Below this level these libraries log whole requests or every packet.
_CHATTY: Final = ("acme", "josepy", "urllib3", "requests", "asyncio", "tornado.access")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; the event comes first, everything else as a keyword."""
    return structlog.stdlib.get_logger(name)


def configure(format: str, level: str, process: str, *, stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's name
    """Send every log record of this process through one formatter to `stream` (standard error).

    `format`: json, console, or auto (console on a terminal). `process` names this process in every line
    ("worker", "beat", "responder" …). May be called again; the last call counts."""
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(format == "console" or (format == "auto" and out.isatty()), process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that masks fields with a secret name, and text that looks like a secret."""
    return {
        name: REDACTED if _is_secret(name) else _clean(value, multiline=name == "exception")
        for name, value in event.items()
    }


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(console: bool, process: str) -> structlog.stdlib.ProcessorFormatter:
    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, "process": process}

    # The traceback is rendered first and masked after that. The console's pretty printer is not used, because
    # it shows local variables.
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_common(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            name_process,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    return not _SECRET_WORDS.isdisjoint(words) and words[-1] not in _HARMLESS_ENDINGS


def _clean(value: object, *, multiline: bool = False, depth: int = 0) -> object:
    """A value with nothing secret in it that a renderer may show: numbers, texts, and lists and mappings of
    them."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= _MAX_DEPTH:
        return "[…]"
    if isinstance(value, Mapping):
        return {
            str(name): REDACTED
            if _is_secret(str(name))
            else _clean(inner, multiline=multiline, depth=depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, multiline=multiline, depth=depth + 1) for inner in value]
    return _text(str(value), multiline=multiline)


def _text(text: str, *, multiline: bool) -> str:
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]} […]"
    for part, pattern, mask in _MASKS:
        if part in text:
            text = pattern.sub(mask, text)
    if text.isprintable():
        return text
    text = text.translate(_CONTROLS)
    return text if multiline else text.replace("\n", "\\n")
