"""What opening a process's parts leaves behind: nothing, until something is sealed."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from certmill.crypto import keys
from certmill.crypto.seal import Seal, new_key
from certmill.dns01.providers.rfc2136 import Rfc2136
from certmill.errors import InvalidManifest, SecretUnusable
from certmill.home.seal_keys import LazySeal
from certmill.model.issuer import Dns01Solver, SecretKeyRef
from certmill.model.manifests.parse import dump_yaml
from certmill.model.secret import Secret
from certmill.runtime import Runtime
from certmill.settings import Settings
from certmill.views.objects import secret_object
from tests.support import keyed_update
from tests.support.builders import an_issuer


def opened(home: Path, **settings: object) -> Runtime:
    return Runtime.open(Settings.model_validate({"home": home, **settings}))


def test_opening_makes_nothing_and_sealing_makes_the_key(tmp_path):
    runtime = opened(tmp_path / "home")
    before = list(tmp_path.iterdir())

    sealed = runtime.ports.seal.seal(b"key", context="default/web")
    runtime.close()

    assert before == []
    assert (tmp_path / "home" / "seal-key").stat().st_mode & 0o777 == 0o600
    assert opened(tmp_path / "home").ports.seal.open(sealed, context="default/web") == b"key"


def test_a_configured_key_that_is_wrong_is_refused_at_once(tmp_path):
    with pytest.raises(InvalidManifest, match="CERTMILL_SEAL_KEYS"):
        opened(tmp_path, seal_keys="c2hvcnQ=")


def test_what_is_kept_for_issuers_does_not_grow_with_every_change_of_one(tmp_path):
    runtime = opened(tmp_path)
    account = keys.generate_account_key("ECDSA-256")
    issuers = [an_issuer(server=f"https://ca{number}.test/dir") for number in range(300)]
    solvers = [
        Dns01Solver(
            provider=Rfc2136(nameserver=f"192.0.2.{n % 250}", port=n + 1), nameservers=(f"192.0.2.1:{n}",)
        )
        for n in range(300)
    ]

    clients = [
        weakref.ref(runtime.ports.clients.client(issuer, account, "https://ca.test/1")) for issuer in issuers
    ]
    providers = [weakref.ref(runtime.ports.providers.provider(issuers[0], solver)) for solver in solvers]
    zones = [weakref.ref(runtime.ports.checks.zones(solver)) for solver in solvers]
    gc.collect()

    for kept in (clients, providers, zones):
        assert kept[0]() is None
        assert kept[-1]() is not None
        assert sum(one() is not None for one in kept) <= 256
    runtime.close()


def test_a_tsig_secret_of_white_space_is_an_error_and_sends_no_unsigned_update(tmp_path):
    runtime = opened(tmp_path)
    blank = Secret(namespace="cert-manager", name="tsig", data={"secret": b" \n"})
    runtime.ports.home.apply(blank, dump_yaml(secret_object(blank, None)))
    config = Rfc2136(
        nameserver="192.0.2.1", tsig_key_name="k", tsig_secret=SecretKeyRef(name="tsig", key="secret")
    )

    with pytest.raises(SecretUnusable, match="the TSIG secret of key k is empty"):
        runtime.ports.providers.provider(an_issuer(), Dns01Solver(provider=config))
    runtime.close()


def test_a_provider_that_cannot_be_built_ends_the_process_at_its_start(tmp_path):
    module = keyed_update.install(tmp_path) / "certmill_keyed_update.py"
    source = module.read_text()
    module.write_text(
        source.replace("import NeededSecret", "import Dns01Config, NeededSecret")
        .replace("import Provider, ProviderConfig", "import Provider")
        .replace("KeyedUpdate(ProviderConfig)", "KeyedUpdate(Dns01Config)")
    )
    program = "import certmill.runtime, certmill.settings as s; certmill.runtime.Runtime.open(s.load())"
    failed = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}", "CERTMILL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == (
        "ImportError: the DNS-01 provider keyedUpdate (certmill_keyed_update:KeyedUpdateSchema) cannot be "
        "used: its config_type must be a subclass of certmill.dns01.base.ProviderConfig"
    )


def test_many_threads_ask_for_the_keys_once():
    asked = []

    def keys() -> list[bytes]:
        asked.append(new_key())
        return [b"k" * 32]

    lazy = LazySeal(keys)
    with ThreadPoolExecutor(8) as threads:
        sealed = list(threads.map(lambda number: lazy.seal(b"key", context=str(number)), range(32)))

    assert isinstance(lazy, Seal)
    assert [lazy.open(text, context=str(number)) for number, text in enumerate(sealed)] == [b"key"] * 32
    assert len(asked) == 1
