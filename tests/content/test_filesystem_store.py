"""Files of a store: where they are, what hostile references cannot reach, many writers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from popoto.stores import AbstractContentStore, ContentReferenceError, FilesystemStore

NOWHERE = "0" * 64


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def store(base: Path) -> FilesystemStore:
    return FilesystemStore(base)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ── Where things are ─────────────────────────────────────────────────────────


def test_the_interface_cannot_be_instantiated() -> None:
    with pytest.raises(TypeError):
        AbstractContentStore()  # type: ignore[abstract]


def test_reference_and_live_file(store: FilesystemStore, base: Path) -> None:
    reference = store.save(b"hello", "a", "D")
    assert reference == (
        "$CF:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824:D/a.txt"
    )
    path = base / "D" / "a.txt"
    assert path.read_bytes() == b"hello"
    assert path.stat().st_mode & 0o777 == 0o600
    assert store._parse_reference(reference) == (digest(b"hello"), "D/a.txt")


@pytest.mark.parametrize(
    ("key", "name"), [("a/b:c*d", "a_b_c_d"), ("名前 é!", "名前_é_"), ("x-y_z.1", "x-y_z.1")]
)
def test_names_are_safe(store: FilesystemStore, base: Path, key: str, name: str) -> None:
    store.save(b"x", key, "D")
    assert [each.name for each in (base / "D").iterdir()] == [f"{name}.txt"]


def test_a_long_key_still_names_a_file(store: FilesystemStore, base: Path) -> None:
    references = [store.save(key.encode(), key, "D") for key in ("é" * 300, "é" * 301)]
    assert len(list((base / "D").iterdir())) == 2
    assert [store.load(each).decode() for each in references] == ["é" * 300, "é" * 301]


def test_what_is_replaced_goes_to_the_archive(store: FilesystemStore, base: Path) -> None:
    one = store.save(b"one", "a", "D")
    two = store.save(b"two", "a", "D")
    archived = base / ".versions" / digest(b"one")[:2] / f"{digest(b'one')}.txt"
    assert archived.read_bytes() == b"one"
    assert store._version_path(digest(b"one")) == str(archived)
    assert (store.load(one), store.load(two)) == (b"one", b"two")
    assert store.save(b"two", "a", "D") == two
    assert [each.name for each in (base / ".versions").rglob("*.txt")] == [archived.name]


def test_deleting_removes_the_live_file_only(store: FilesystemStore) -> None:
    one = store.save(b"one", "a", "D")
    two = store.save(b"two", "a", "D")
    store.delete(two)
    assert not store.exists(two)
    assert store.load(one) == b"one"
    with pytest.raises(FileNotFoundError):
        store.delete(two)
    with pytest.raises(FileNotFoundError):
        store.load(two)


def test_the_directory_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POPOTO_CONTENT_PATH", "~/x")
    with pytest.warns(UserWarning, match="a directory named ~ in the current one"):
        assert FilesystemStore().base_path == str(tmp_path / "~" / "x")
    monkeypatch.delenv("POPOTO_CONTENT_PATH")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FilesystemStore().base_path == str(tmp_path / ".popoto" / "content")


def test_another_extension(base: Path) -> None:
    store = FilesystemStore(str(base), extension=".md")
    reference = store.save(b"x", "a", "D")
    assert reference.endswith(":D/a.md")
    assert store.load(reference) == b"x"
    with pytest.raises(ValueError, match="extension"):
        FilesystemStore(base, extension="/../x")


# ── What is no reference ─────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["", "nope", "$CF:", "$CF:x", "$cf:x:D/a.txt", None, 5])
def test_malformed_references(store: FilesystemStore, text: Any) -> None:
    for method in (store.load, store.delete, store._parse_reference):
        with pytest.raises(ValueError, match="CF"):
            method(text)
    assert store.exists(text) is False


HOSTILE = [
    "$CF:x:../victim.txt",
    f"$CF:{NOWHERE}:../victim.txt",
    f"$CF:{NOWHERE}:D/../../victim.txt",
    f"$CF:{NOWHERE}:D/../victim.txt",
    f"$CF:{NOWHERE}:/etc/passwd",
    f"$CF:{NOWHERE}://etc/passwd",
    f"$CF:{NOWHERE}:D//etc/passwd",
    f"$CF:{NOWHERE}:.versions/00",
    f"$CF:{NOWHERE}:./victim.txt",
    f"$CF:{NOWHERE}:D/..",
    f"$CF:{NOWHERE}:D/.",
    f"$CF:{NOWHERE}:D/",
    f"$CF:{NOWHERE}:D",
    f"$CF:{NOWHERE}:D/a\0b",
    f"$CF:{NOWHERE}:D/\ud800",
    f"$CF:{NOWHERE[:-1]}:D/a.txt",
    f"$CF:{NOWHERE.replace('0', 'A')}:D/a.txt",
    f"$CF:{NOWHERE}\n:D/a.txt",
    "$CF:../../etc:D/a.txt",
    "$CF:../..//..//x:D/none.txt",
]


@pytest.mark.parametrize("reference", HOSTILE)
def test_hostile_references_reach_nothing(
    store: FilesystemStore, base: Path, reference: str
) -> None:
    store.save(b"kept", "a", "D")
    victim = base.parent / "victim.txt"
    victim.write_bytes(b"precious")
    inner = base / "victim.txt"
    inner.write_bytes(b"precious")
    for method in (store.load, store.delete):
        with pytest.raises(ContentReferenceError) as raised:
            method(reference)
        assert isinstance(raised.value, ValueError)
        assert isinstance(raised.value, FileNotFoundError)
    assert store.exists(reference) is False
    assert victim.read_bytes() == inner.read_bytes() == b"precious"
    assert (base / "D" / "a.txt").read_bytes() == b"kept"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/x", "a/b", ".versions", "a\0"])
def test_model_names_cannot_leave_the_directory(
    store: FilesystemStore, base: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="model_class_name"):
        store.save(b"x", "a", name)
    assert not base.exists()


@pytest.mark.parametrize("key", ["", ".", ".."])
def test_keys_that_name_no_file_are_refused(base: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        FilesystemStore(base, extension="").save(b"x", key, "D")


def test_links_are_not_followed(store: FilesystemStore, base: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_bytes(b"secret")
    reference = f"$CF:{digest(b'secret')}:D/a.txt"

    (base / "D").mkdir(parents=True)
    (base / "D" / "a.txt").symlink_to(outside / "a.txt")
    (base / ".versions").symlink_to(outside)
    assert not store.exists(reference)
    with pytest.raises(FileNotFoundError):
        store.load(reference)
    with pytest.raises(FileNotFoundError):
        store.delete(reference)
    store.save(b"mine", "a", "D")
    assert not (base / "D" / "a.txt").is_symlink()

    (base / "E").symlink_to(outside)
    planted = reference.replace(":D/", ":E/")
    assert not store.exists(planted)
    with pytest.raises(FileNotFoundError):
        store.delete(planted)
    with pytest.raises(OSError, match="E"):
        store.save(b"x", "a", "E")
    with pytest.raises(OSError, match="versions"):
        store.save(b"replaces", "a", "D")
    assert (outside / "a.txt").read_bytes() == b"secret"
    assert [each.name for each in outside.iterdir()] == ["a.txt"]


def test_planted_and_damaged_files_are_not_given_out(store: FilesystemStore, base: Path) -> None:
    one = store.save(b"one", "a", "D")
    two = store.save(b"two", "a", "D")
    (base / "D" / "a.txt").write_bytes(b"planted")
    Path(store._version_path(digest(b"one"))).write_bytes(b"damaged")
    for reference in (one, two):
        assert not store.exists(reference)
        with pytest.raises(FileNotFoundError):
            store.load(reference)
    (base / "D" / "b.txt").mkdir()
    os.mkfifo(base / "D" / "c.txt")
    for name in "bc":
        assert not store.exists(f"$CF:{digest(b'')}:D/{name}.txt")


# ── Failures and many writers ────────────────────────────────────────────────


def test_a_failed_write_leaves_what_was_there(
    store: FilesystemStore, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = store.save(b"one", "a", "D")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(b"two", "a", "D")
    assert store.load(reference) == b"one"
    assert [each.name for each in base.rglob("*") if each.is_file()] == ["a.txt"]


def test_threads_that_write_one_key_lose_no_version(store: FilesystemStore) -> None:
    references: list[tuple[str, bytes]] = []

    def write(who: int) -> None:
        for number in range(15):
            content = b"%d of %d" % (number, who)
            references.append((store.save(content, "a", "D"), content))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(references) == 60
    assert all(store.load(reference) == content for reference, content in references)


def test_processes_that_write_one_key_lose_no_version(store: FilesystemStore, base: Path) -> None:
    program = (
        "import sys\n"
        "from popoto.stores import FilesystemStore\n"
        "store = FilesystemStore(sys.argv[1])\n"
        "for number in range(30):\n"
        "    print(store.save(f'{number} of {sys.argv[2]}'.encode(), 'a', 'D'))\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(base), who], stdout=subprocess.PIPE, text=True
        )
        for who in "ab"
    ]
    for who, writer in zip("ab", writers, strict=True):
        output, _ = writer.communicate(timeout=250)
        references = output.splitlines()
        assert len(references) == 30
        for number, reference in enumerate(references):
            assert store.load(reference) == f"{number} of {who}".encode()
