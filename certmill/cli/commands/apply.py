"""`certmill apply`: writes each document into the home separately. A document that cannot be used causes an
error on stderr and does not stop the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from certmill.cli.exit_codes import ExitCode, print_message
from certmill.cli.kinds import resource
from certmill.cli.session import Session
from certmill.errors import InvalidManifest
from certmill.home.layout import MAX_FILE_BYTES
from certmill.home.secret_documents import survey_and_write
from certmill.model.manifests.parse import Document, parse_documents

STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The text of one file, and the name of the file for messages."""

    source: str
    text: str


def apply(session: Session, names: Sequence[str], *, namespace: str) -> ExitCode:
    """Apply every document of these files and directories (`-`: standard input), and request a re-read of the
    home.

    Returns OK if at least one document was applied and none was refused, else FAILED. Raises HomeUnavailable;
    documents that were applied before stay applied.
    """
    errors: list[InvalidManifest] = []
    documents: list[Document] = []
    sources: list[str] = []
    applied = 0
    for text in _texts(names, errors):
        found, wrong = parse_documents(text.text, source=text.source, default_namespace=namespace)
        documents += found
        errors += wrong
        sources.append(text.source)
    if not documents and not errors:
        errors.append(InvalidManifest("has no document", source=", ".join(sources)))
    try:
        # All in one call: several documents may be in one file of the home, which is then read and written
        # once.
        kept = session.home.apply_all([(document.value, document.text) for document in documents])
        for document, done in zip(documents, kept, strict=True):
            if isinstance(done, InvalidManifest):
                errors.append(
                    InvalidManifest(done.reason, path=done.path, source=done.source or document.source)
                )
            else:
                print(f"{resource(document.kind, document.name)} {done}")
                applied += 1
    finally:
        for error in errors:
            print_message(str(error))
        if applied:
            session.request_reread()
    _warn_of_problems(session)
    return ExitCode.OK if applied and not errors else ExitCode.FAILED


def _warn_of_problems(session: Session) -> None:
    """Print what cannot be used in a directory home. No process reports it to the person who changes the
    home at that moment. In a cluster it is in the status of the objects."""
    if not session.home.watched:
        for problem in survey_and_write(session.home).problems:
            print_message(f"{problem.source}: {problem.message}", prefix="warning")


def _texts(names: Sequence[str], errors: list[InvalidManifest]) -> Iterator[Text]:
    """Yield the text of each file. A file that cannot be read adds an error to `errors`."""
    for name in names:
        for file in _files(name, errors):
            try:
                yield Text(source=_source(file), text=_read(file))
            except InvalidManifest as error:
                errors.append(error)


def _files(name: str, errors: list[InvalidManifest]) -> list[str]:
    """The file itself, or the manifests in a directory, sorted by name."""
    path = Path(name)
    if name == STDIN or not path.is_dir():
        return [name]
    try:
        found = sorted(
            str(file)
            for file in path.iterdir()
            if file.suffix in _SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
    except OSError as error:
        errors.append(InvalidManifest(f"cannot be read: {error.strerror}", source=name))
        return []
    if not found:
        errors.append(
            InvalidManifest(
                f"there is no {', '.join('*' + suffix for suffix in _SUFFIXES)} in this directory",
                source=name,
            )
        )
    return found


def _source(file: str) -> str:
    return "standard input" if file == STDIN else file


def _read(file: str) -> str:
    """The text of a file: UTF-8, at most MAX_FILE_BYTES. Raises InvalidManifest, which names the file."""
    try:
        if file == STDIN and sys.stdin is None:
            raise InvalidManifest(
                "is closed: give a file, or write the manifests to it", source=_source(file)
            )
        if file == STDIN:
            content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidManifest(f"cannot be read: {error.strerror}", source=_source(file)) from error
    if len(content) > MAX_FILE_BYTES:
        raise InvalidManifest(f"is larger than {MAX_FILE_BYTES} bytes; split it", source=_source(file))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidManifest("is not UTF-8 text", source=_source(file)) from None
