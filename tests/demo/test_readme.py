"""The README's first certificate and the commands of docs/directory.md, run as written beside a test CA."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from compose.demo import Demo
from compose.servers.pebble import find_pebble
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DIRECTORY = (ROOT / "docs" / "directory.md").read_text()
SERVER = re.compile(r"server: https://\S+letsencrypt\.org/directory")


def block(text, language, *, after):
    """The first block of this language after a sentence of the page."""
    return re.search(rf"```{language}\n(.*?)```", text[text.index(after) :], re.DOTALL)[1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    find_pebble()
    with ExitStack() as stack:
        demo = Demo(directory=tmp_path_factory.mktemp("readme"), stack=stack)
        demo.start()
        yield demo


def shell(demo, text, *, code=0):
    """Run lines of shell as a user of the activated environment does; the home is the demo's."""
    activate = f"PATH={Path(sys.executable).parent}:$PATH\n"
    text = activate + text.replace(". .venv/bin/activate", ":").replace("certmill-home", "home")
    done = subprocess.run(
        ["sh", "-ec", text],
        cwd=demo.directory,
        env=dict(demo.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def manifests(demo, text):
    """The page's manifests, with the test CA in the place of Let's Encrypt."""
    mine = re.search(r"server: \S+\n    caBundle: \S+", (demo.directory / "issuer.yaml").read_text())[0]
    assert base64.b64decode(mine.rpartition(" ")[2]).startswith(b"-----BEGIN")
    assert SERVER.search(text)
    return SERVER.sub(mine, text)


def ready(demo, name):
    def is_ready():
        command = [Path(sys.executable).with_name("certmill"), "get", "certificates", name, "--check"]
        return (
            subprocess.run(
                command, env=dict(demo.environment), capture_output=True, check=False, timeout=60
            ).returncode
            == 0
        )

    until(is_ready, what=f"{name} is not ready")


def test_the_first_certificate_of_the_readme_is_issued_by_its_commands(demo):
    (demo.directory / "site.yaml").write_text(
        manifests(demo, block(README, "yaml", after="Save this as `site.yaml`"))
    )
    lines = block(README, "sh", after="In a second terminal:")
    *before, last = lines.strip().splitlines()

    shell(demo, "\n".join(before))
    ready(demo, "web")

    assert shell(demo, "\n".join([*before[:2], last])).split() == ["tls.crt", "tls.key"]


def test_each_command_of_the_directory_page_does_what_it_says(demo):
    directory = demo.directory / "manifests"
    directory.mkdir()
    issuer, web = (
        part
        for part in block(DIRECTORY, "yaml", after="## Manifests").split("---\n")
        if "kind: Secret" not in part
    )
    issuer = issuer.partition("      - selector:")[0]
    (directory / "site.yaml").write_text(
        manifests(demo, issuer) + "---\n" + web.replace(', "*.example.com"', "")
    )
    apply, get, check, describe, request, renew, delete = (
        block(DIRECTORY, "sh", after="## The command").strip().splitlines()
    )

    assert "certificate.cert-manager.io/web" in shell(demo, apply)
    ready(demo, "web")
    assert "web-tls" in shell(demo, get)
    # The pair of the README's issuer stays Ready until a worker reconciles the new manifest.
    until(lambda: "Certificate is up to date" in shell(demo, describe), what="web is issued by production")
    shell(demo, request)
    shell(demo, renew)
    ready(demo, "web")
    shell(demo, delete)
    shell(demo, check)
