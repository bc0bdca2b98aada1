"""What the files of the project may say: nothing of this machine or of its registries; and the generated
reference is current."""

from __future__ import annotations

import re

import pytest
import yaml

from certmill.settings import Settings
from compose import reference

# Split, so that this file passes its own test.
REGISTRY_HOSTS = (
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry" + ".npmjs",
    "proxy.golang" + ".org",
    "docker" + ".io",
    "ghcr" + ".io",
    "crates" + ".io",
)
MACHINE_PATHS = re.compile(r"(?<![\w./-])/(?:work|root|home/[a-z]+)/[\w.]")


def test_no_file_names_the_host_of_a_registry(tracked_texts):
    named = [(name, host) for name, text in tracked_texts.items() for host in REGISTRY_HOSTS if host in text]

    assert named == []


def test_no_file_names_a_path_of_one_machine(tracked_texts):
    named = [
        f"{name}: {match.group()}"
        for name, text in tracked_texts.items()
        if (match := MACHINE_PATHS.search(text))
    ]

    assert named == []


def test_a_machine_path_would_be_seen():
    assert MACHINE_PATHS.search("see /" + "work/main")
    assert MACHINE_PATHS.search("cd /" + "root/x")
    assert not MACHINE_PATHS.search("https://example.com/work/x and ./root/x")


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_reference(root, name):
    assert f"`CERTMILL_{name.upper()}`" in (root / "docs" / "settings.md").read_text()


def test_the_settings_page_and_the_example_of_the_environment_are_current():
    """Else run `make reference`."""
    assert reference.SETTINGS_PAGE.read_text() == reference.settings_page()
    assert reference.ENV_EXAMPLE.read_text() == reference.env_example()


def pages(root):
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def test_the_documentation_names_no_setting_that_is_not_there(root):
    named = {
        name for page in pages(root) for name in re.findall(r"`CERTMILL_([A-Z0-9_]+)`", page.read_text())
    }
    known = {name.upper() for name in Settings.model_fields}

    assert {name for name in named if name.removesuffix("_FILE") not in known} - {
        name for name in known if name.endswith("_FILE")
    } == set()


# What `python -m workers up` tells its children; nobody else sets them.
OF_THE_SUPERVISOR = {"CERTMILL_PROCESS", "CERTMILL_PROCESS_READY_FILE"}


def test_no_message_names_a_setting_that_is_not_there(modules):
    """An operator has to find it in docs/settings.md."""
    known = {f"CERTMILL_{name.upper()}" for name in Settings.model_fields} | OF_THE_SUPERVISOR
    named = {
        f"{module.name}: {name}"
        for module in modules
        if not module.name.startswith("compose/")
        for name in re.findall(r"CERTMILL_[A-Z0-9_]*[A-Z0-9]", module.text)
        if name not in known and name.removesuffix("_FILE") not in known
    }

    assert named == set()


def test_the_reference_shows_the_default_of_every_setting(root):
    page = (root / "docs" / "settings.md").read_text()
    rows = {
        match.group(1).lower(): match.group(2)
        for match in re.finditer(r"^\| `CERTMILL_([A-Z0-9_]+)` \| (.*?) \|", page, re.MULTILINE)
    }

    wrong = {}
    for name, field in Settings.model_fields.items():
        default = (
            field.default.get_secret_value() if hasattr(field.default, "get_secret_value") else field.default
        )
        shown = (
            ""
            if default is None or default == ()
            else f"`{default:g}`"
            if isinstance(default, float)
            else f"`{default}`"
        )
        if rows.get(name) != shown:
            wrong[name] = (rows.get(name), shown)

    assert wrong == {}


def test_the_readmes_map_of_the_house_names_every_package(root):
    house = (root / "README.md").read_text().partition("## Source tree")[2].partition("## Development")[0]
    packages = {directory.parent.name for directory in (root / "certmill").glob("*/__init__.py")}

    assert {package for package in packages if not re.search(rf"(^|\s){package}\s", house)} == set()


def test_the_readme_is_short(root):
    assert len((root / "README.md").read_text().splitlines()) <= 180


def test_the_scripts_of_ci_and_the_hooks_are_executable(root):
    assert (root / ".ci" / "run").stat().st_mode & 0o111


def test_the_chart_needs_the_kubernetes_that_the_readme_names(root):
    """Its CRDs' rules call functions that an older API server does not have: Helm is to refuse it, not the
    API server half-way."""
    (named,) = re.findall(r"Needs Kubernetes (\S+) or newer", (root / "README.md").read_text())

    assert (
        yaml.safe_load((root / "compose" / "chart" / "Chart.yaml").read_text())["kubeVersion"]
        == f">={named}.0-0"
    )
