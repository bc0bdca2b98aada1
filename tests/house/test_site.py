"""The documentation builds as a site, and a link to nowhere ends the build."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def build(uv, root, *, config, out):
    command = [
        uv,
        "run",
        "--frozen",
        "--only-group",
        "docs",
        "--isolated",
        "--project",
        root,
        "mkdocs",
        "build",
    ]
    return subprocess.run(
        [*command, "--config-file", config, "--site-dir", out],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_the_site_has_every_page(uv, root, tmp_path):
    done = build(uv, root, config=root / "mkdocs.yml", out=tmp_path / "site")

    assert done.returncode == 0, done.stderr[-2000:]
    pages = {page.stem for page in (root / "docs").glob("*.md")} - {"index"}
    assert {page for page in pages if not (tmp_path / "site" / page / "index.html").is_file()} == set()


@pytest.mark.parametrize("link", ["nowhere.md", "time.md#nowhere"])
def test_a_link_to_nowhere_ends_the_build(uv, root, tmp_path, link):
    shutil.copy(root / "mkdocs.yml", tmp_path)
    shutil.copytree(root / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "faq.md").open("a") as page:
        page.write(f"\n[there]({link})\n")

    assert build(uv, root, config=tmp_path / "mkdocs.yml", out=tmp_path / "site").returncode == 1
