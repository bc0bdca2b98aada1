from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import threading

import pytest

from certmill.errors import HomeUnavailable, InvalidManifest, SecretUnusable
from certmill.home.directory.files import opened_directory
from certmill.home.directory.home import DirectoryHome
from certmill.model.secret import OPAQUE_TYPE, TLS_TYPE
from tests.support.odd_entries import forbidden, make_odd_entries
from tests.unit.home.samples import pair, parsed, secret_text

CRASHING_WRITER = """
import os, sys
from pathlib import Path
from certmill.home.directory.home import DirectoryHome
from certmill.model.secret import Secret

def home(root):
    return DirectoryHome(Path(root), cluster_resource_namespace="cert-manager")

def pair(generation):
    data = {"tls.crt": b"chain %d" % generation, "tls.key": b"key %d" % generation, "k%d" % generation: b""}
    return Secret(namespace="default", name="web", data=data)

def generation(data):
    keys = ("tls.crt", "tls.key")
    return next((n for n in (1, 2) if all(data.get(key) == pair(n).data[key] for key in keys)), None)

def dies_at(root, last):
    steps = 0
    def count(event, args):
        nonlocal steps
        if event in ("os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "open"):
            steps += 1
            if steps > last:
                os._exit(9)
    child = os.fork()
    if child == 0:
        sys.addaudithook(count)
        home(root).write_secret(pair(2))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

last = 0
while True:
    root = f"{sys.argv[1]}/{last}"
    files = Path(root, "secrets/default/web")
    first = sys.argv[2] == "first"
    if sys.argv[2] == "later":
        home(root).write_secret(pair(1))
    elif not first:
        files.mkdir(parents=True)
        for key in ("tls.crt", "tls.key"):
            (files / key).write_bytes(pair(1).data[key])
    died = dies_at(root, last)
    found = home(root).secret("default", "web")
    assert found is None and first or generation(found.data) in (1, 2), (last, found)
    if not first:
        on_disk = {key: (files / key).read_bytes() for key in ("tls.crt", "tls.key")}
        assert generation(on_disk) in (1, 2), last
    home(root).write_secret(pair(3))
    assert dict(home(root).secret("default", "web").data) == dict(pair(3).data), last
    left = sorted(os.listdir(files))
    assert len(left) == 5 and {"..data", "k3", "tls.crt", "tls.key"} < set(left), (last, left)
    if not died:
        break
    last += 1
print(last)
"""

OTHER_WRITER = """
import sys
from pathlib import Path
from certmill.home.directory.home import DirectoryHome
from tests.support.odd_entries import forbidden, make_odd_entries
from tests.unit.home.samples import pair

home = DirectoryHome(Path(sys.argv[1]), cluster_resource_namespace="cert-manager")
for generation in range(1000, 1040):
    home.write_secret(pair(generation))
"""


def directory(root):
    return root / "secrets" / "default" / "web"


def contents(directory_descriptor, name):
    descriptor = os.open(name, os.O_RDONLY, dir_fd=directory_descriptor)
    try:
        return os.read(descriptor, 100_000).decode()
    finally:
        os.close(descriptor)


def by_hand(root, **files):
    directory(root).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory(root) / name.replace("_", ".")).write_bytes(content)


def test_a_secret_lies_there_as_if_it_were_mounted(home, root):
    home.write_secret(pair(1))

    assert str((directory(root) / "tls.crt").readlink()) == "..data/tls.crt"
    assert str((directory(root) / "..data").readlink()).startswith("..")
    assert (directory(root) / "tls.key").read_bytes() == pair(1).data["tls.key"]


def test_nobody_else_may_read_anything(home, root):
    old = os.umask(0)
    try:
        home.write_secret(pair(1))
        home.apply(parsed(secret_text()), secret_text())
    finally:
        os.umask(old)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_dir()}
    assert {*modes, stat.S_IMODE(root.stat().st_mode)} == {0o700}
    assert {
        stat.S_IMODE(path.lstat().st_mode)
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    } == {0o600}


def test_a_reader_never_sees_half_a_pair(root):
    """Two writers in threads, one in another process; readers through the home and through the files."""
    home = DirectoryHome(root, cluster_resource_namespace="cert-manager")
    home.write_secret(pair(0))
    process = subprocess.Popen([sys.executable, "-c", OTHER_WRITER, str(root)])
    done, seen = threading.Event(), set()
    wrong: list[object] = []

    def write(start):
        for generation in range(start, start + 40):
            home.write_secret(pair(generation))

    def read():
        while not done.is_set():
            found = home.secret("default", "web") or pair("none")
            crt, key = found.data["tls.crt"].split()[1], found.data["tls.key"].split()[1]
            seen.add(bytes(crt))
            if crt.replace(b"chain", b"") != key.replace(b"key", b""):
                wrong.append((crt, key))

    def read_as_others_do():
        while not done.is_set():
            try:
                opened = os.open(directory(root) / "..data", os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:  # it led to a version that has just been replaced
                if not os.path.lexists(directory(root) / "..data"):
                    wrong.append("no ..data")
                continue
            try:
                crt, key = (contents(opened, name).split()[1] for name in ("tls.crt", "tls.key"))
                if crt.replace("chain", "") != key.replace("key", ""):
                    wrong.append((crt, key))
            except FileNotFoundError:
                pass  # the version was replaced after it was opened: looked at again
            finally:
                os.close(opened)

    readers = [threading.Thread(target=target) for target in (read, read_as_others_do)]
    writers = [threading.Thread(target=write, args=(start,)) for start in (1, 500)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert process.wait(60) == 0
    done.set()
    for thread in readers:
        thread.join()

    assert wrong == []
    assert len(seen) > 5
    assert len([entry for entry in directory(root).iterdir() if entry.name.startswith("..")]) == 2


@pytest.mark.parametrize("case", ["first", "later", "put there by hand"])
def test_a_writer_that_dies_anywhere_leaves_the_old_pair_or_the_new_one_and_no_rest(tmp_path, case):
    """The writer dies before its first, second, third … change of the file system."""
    run = subprocess.run(
        [sys.executable, "-c", CRASHING_WRITER, str(tmp_path), case],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 15


def test_plain_files_of_a_person_are_keys(home, root):
    by_hand(root, tls_crt=b"c", tls_key=b"k", note=b"n")

    found = home.secret("default", "web")

    assert found.data == {"tls.crt": b"c", "tls.key": b"k", "note": b"n"}
    assert found.type == TLS_TYPE
    by_hand(root, **{"..hidden": b"", "tls.crt~": b"", "a b": b""})
    assert home.secret("default", "web") == found


def test_plain_files_survive_our_writes_to_other_keys(home, root):
    by_hand(root, tls_crt=b"c", tls_key=b"k", note=b"n")

    home.write_secret(pair(1))

    assert home.secret("default", "web").data == {**pair(1).data, "note": b"n"}
    assert not (directory(root) / "note").is_symlink()
    assert (directory(root) / "tls.key").is_symlink()
    assert (directory(root) / "tls.key").read_bytes() == pair(1).data["tls.key"]


def test_a_plain_file_put_over_ours_counts_until_we_write_again(home, root):
    home.write_secret(pair(1))
    (directory(root) / "tls.key").unlink()
    by_hand(root, tls_key=b"by hand")

    assert home.secret("default", "web").data["tls.key"] == b"by hand"
    home.write_secret(pair(2))
    assert home.secret("default", "web") == pair(2)


def test_a_key_that_a_person_removed_is_gone_and_comes_back_with_the_next_write(home, root):
    home.write_secret(pair(1))
    (directory(root) / "tls.crt").unlink()

    assert home.secret("default", "web").data == {"tls.key": pair(1).data["tls.key"]}
    home.write_secret(pair(1))
    assert home.secret("default", "web") == pair(1)


def test_links_that_lead_elsewhere_are_read(home, root, tmp_path):
    (tmp_path / "outside.crt").write_bytes(b"c")
    by_hand(root)
    (directory(root) / "tls.crt").symlink_to(tmp_path / "outside.crt")
    (directory(root) / "gone").symlink_to(tmp_path / "gone")

    assert home.secret("default", "web").data == {"tls.crt": b"c"}
    home.write_secret(pair(1))
    assert home.secret("default", "web") == pair(1)
    assert (tmp_path / "outside.crt").read_bytes() == b"c"


def test_a_secret_mounted_by_kubernetes_is_read(home, root):
    version = directory(root) / "..2027_01_01"
    version.mkdir(parents=True)
    (version / "password").write_bytes(b"p")
    (directory(root) / "..data").symlink_to(version.name)
    (directory(root) / "password").symlink_to("..data/password")

    found = home.secret("default", "web")

    assert (found.data, found.type) == ({"password": b"p"}, OPAQUE_TYPE)


def test_pipes_and_directories_are_no_keys_and_stop_nobody(home, root):
    by_hand(root, tls_key=b"k")
    os.mkfifo(directory(root) / "pipe")
    (directory(root) / "sub").mkdir()

    assert home.secret("default", "web").data == {"tls.key": b"k"}


@pytest.mark.parametrize("odd", ["itself.yaml", "long.yaml", "through.yaml", "socket.yaml"])
def test_an_odd_key_makes_its_own_secret_unusable_and_no_other(home, root, tmp_path, odd):
    home.write_secret(pair(1, name="other"))
    by_hand(root, tls_key=b"k")
    (tmp_path / "odd").mkdir()
    make_odd_entries(tmp_path / "odd")
    (tmp_path / "odd" / odd).rename(directory(root) / odd)

    with pytest.raises(
        SecretUnusable, match=rf"the key '{odd}' of Secret default/web cannot be read: .*; remove it"
    ):
        home.secret("default", "web")
    assert [secret.name for secret in home.secrets()] == ["other"]


def test_a_key_that_may_not_be_read_is_its_own_secrets_problem(home, root):
    by_hand(root, tls_key=b"k", tls_crt=b"c")

    with (
        forbidden(directory(root) / "tls.key"),
        pytest.raises(
            SecretUnusable, match=r"the key 'tls.key' of Secret default/web cannot be read: permission denied"
        ),
    ):
        home.secret("default", "web")


def test_a_link_to_itself_in_the_place_of_a_secret_is_no_other_ones_problem(home, root):
    home.write_secret(pair(1, name="other"))
    directory(root).symlink_to("web")

    with pytest.raises(SecretUnusable, match="Secret default/web cannot be read"):
        home.secret("default", "web")
    assert [secret.name for secret in home.secrets()] == ["other"]


def test_before_a_pair_is_issued_it_is_reported_that_a_directory_is_in_its_place(home, root):
    assert home.unwritable_secret("default", "web") == ""
    (directory(root) / "tls.key").mkdir(parents=True)

    assert (
        home.unwritable_secret("default", "web")
        == "secrets/default/web/tls.key is a directory, where a key belongs; remove it"
    )


def test_a_directory_in_the_place_of_a_key_is_an_error_that_names_the_secret(home, root):
    (directory(root) / "tls.key").mkdir(parents=True)

    with pytest.raises(HomeUnavailable, match="secrets/default/web"):
        home.write_secret(pair(1))


def test_a_key_over_a_mebibyte_is_unusable_and_others_are_not(home, root):
    by_hand(root, tls_crt=b"-----BEGIN CERTIFICATE-----\n" * 40_000)
    home.write_secret(pair(1, name="other"))

    with pytest.raises(SecretUnusable, match=r"'tls.crt' of Secret default/web is larger"):
        home.secret("default", "web")
    assert [secret.name for secret in home.secrets()] == ["other"]


@pytest.mark.parametrize(
    "metadata", [b"", b"{", b"[]", b'{"type": 1}', b'{"labels": {"a": 1}}', b'{"owners": []}', b"[" * 100_000]
)
def test_damaged_metadata_is_unusable_and_says_what_to_do(home, root, metadata):
    home.write_secret(pair(1))
    (directory(root) / "..data" / "..metadata.json").write_bytes(metadata)

    with pytest.raises(SecretUnusable, match="default/web is damaged: delete its"):
        home.secret("default", "web")


def test_metadata_holds_no_value(home, root):
    home.write_secret(pair(1))

    assert b"key 1" not in (directory(root) / "..data" / "..metadata.json").read_bytes()


def test_an_unchanged_secret_is_not_written(home, root):
    home.write_secret(pair(1))
    before = str((directory(root) / "..data").readlink())

    home.write_secret(pair(1))

    assert str((directory(root) / "..data").readlink()) == before


def test_a_lock_that_is_kept_is_named_and_not_waited_for_without_end(home, root):
    home.write_secret(pair(1))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import fcntl, os, sys
                locks = [open(f"{sys.argv[1]}/{n:02d}", "w") for n in range(64)]
                for lock in locks:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                print("locked", flush=True)
                sys.stdin.read()
            """),
            str(root / ".locks"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(HomeUnavailable, match="kept the lock of Secret default/web in the home for 10 s"):
            home.write_secret(pair(2))
        assert home.secret("default", "web") == pair(1)
    finally:
        holder.communicate()
    home.write_secret(pair(2))


def test_two_homes_over_one_directory_see_the_same(home, root):
    home.write_secret(pair(1))

    assert DirectoryHome(root, cluster_resource_namespace="x").secret("default", "web") == pair(1)


LINKS = {"the Secret": ("default", "web"), "its namespace": ("default",), "secrets": ()}


@pytest.mark.parametrize("parts", LINKS.values(), ids=LINKS)
def test_nothing_is_written_through_a_link_and_the_message_says_what_to_do(home, root, tmp_path, parts):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = root.joinpath("secrets", *parts)
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    named = "/".join(("secrets", *parts))

    for write in (home.write_secret, home.create_secret, lambda secret: home.apply(secret, "text")):
        with pytest.raises(
            InvalidManifest, match=rf"^{named}: is a symbolic link.*put a directory in its place"
        ):
            write(pair(1))

    assert list(elsewhere.iterdir()) == []
    assert link.is_symlink()
    assert home.unwritable_secret("default", "web").startswith(f"{named} is a symbolic link")
    link.unlink()
    home.write_secret(pair(1))
    assert (home.secret("default", "web"), home.unwritable_secret("default", "web")) == (pair(1), "")


def test_a_secret_behind_a_link_is_read_and_deleted_without_its_target(home, root, tmp_path):
    DirectoryHome(tmp_path / "elsewhere", cluster_resource_namespace="x").write_secret(pair(1))
    target = tmp_path / "elsewhere" / "secrets" / "default" / "web"
    directory(root).parent.mkdir(parents=True)
    directory(root).symlink_to(target)

    assert home.secret("default", "web") == pair(1)
    assert home.delete_secret("default", "web") is True

    assert (home.secret("default", "web"), (target / "tls.key").read_bytes()) == (
        None,
        pair(1).data["tls.key"],
    )


def test_a_directory_that_becomes_a_link_during_a_write_is_not_followed(home, root, tmp_path):
    """What is written goes into the directory that was opened, whatever its name leads to meanwhile."""
    home.write_secret(pair(1))
    elsewhere, moved = tmp_path / "elsewhere", root / "secrets" / "default" / "moved"
    elsewhere.mkdir()

    with opened_directory(root / "secrets", "default", "web") as opened:
        directory(root).rename(moved)
        directory(root).symlink_to(elsewhere)
        (opened / "written").touch()

    assert list(elsewhere.iterdir()) == []
    assert (moved / "written").exists()


def test_a_lock_file_that_is_a_link_is_not_opened(home, root, tmp_path):
    (root / ".locks").mkdir(parents=True)
    for number in range(64):
        (root / ".locks" / f"{number:02d}").symlink_to(tmp_path / "made")

    with pytest.raises(HomeUnavailable):
        home.write_secret(pair(1))

    assert not (tmp_path / "made").exists()
