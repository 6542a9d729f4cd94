"""Vectors in files: the layout of popoto 1.6 (spec/4 section 6), and what else may stand there."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

import popoto
from popoto import EmbeddingField, KeyField, Model, StringField
from popoto.fields import embedding_field
from popoto.fields.embedding_field import invalidate_cache
from popoto.memory.vectors.files import VectorDirectory
from popoto.redis_db import get_REDIS_DB
from tests.driver import Api
from tests.vectors.provider import TABLE, Known

X = "28706d0d1f51e947d42c7e22681b81e9eaf219175a67c2c5695cf25e0edcd582.npy"


@pytest.fixture
def e(provider: Known) -> Any:
    class E(Model):
        name = KeyField()
        text = StringField()
        emb = EmbeddingField(source="text", provider=provider)

    return E


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def found(model: Any, question: str = "right") -> list[str]:
    return [each.name for each in model.query.semantic_search(question)]


def test_a_vector_is_a_file_of_float32_under_the_digest_of_its_key(
    api: Api, e: Any, directory: Path
) -> None:
    api(e.create, name="x", text="a")
    path = directory / "E" / X
    assert len(X) == 68
    assert path.stat().st_mode & 0o777 == 0o600
    kept = np.load(path, allow_pickle=False)
    assert kept.dtype == np.float32
    assert kept.tolist() == [3, 4, 0]
    assert path.stat().st_size == 128 + 3 * 4
    assert json.loads((directory / "E" / "_index.json").read_text()) == {X: "E:x"}
    assert {each.name for each in (directory / "E").iterdir()} == {X, "_index.json"}
    assert EmbeddingField._embedding_path("E", "E:x") == str(path)
    assert embedding_field._index_path("E") == str(directory / "E" / "_index.json")


def test_a_delete_removes_file_and_entry(api: Api, e: Any, directory: Path) -> None:
    saved = api(e.create, name="x", text="a")
    api(saved.delete)
    assert [each.name for each in (directory / "E").iterdir()] == ["_index.json"]
    assert embedding_field._read_index("E") == {}


def test_a_move_in_a_pipeline_takes_the_vector_along(api: Api, e: Any) -> None:
    api(e.create, name="x", text="a")
    pipeline = get_REDIS_DB().pipeline()
    record = api(e.query.get, name="x")
    record.name = "z"
    api(record.save, pipeline=pipeline, migrate_key=True)
    # Nobody is told whether the pipeline is executed.
    assert found(e) == ["x"]
    pipeline.execute()
    assert found(e) == ["z"]
    pipeline = get_REDIS_DB().pipeline()
    api(api(e.query.get, name="z").delete, pipeline=pipeline)
    assert found(e) == ["z"]
    pipeline.execute()
    assert found(e) == []


def test_a_vector_that_is_made_of_another_text_stays_in_a_move_in_a_pipeline(
    api: Api, e: Any
) -> None:
    api(e.create, name="x", text="a")
    pipeline = get_REDIS_DB().pipeline()
    record = api(e.query.get, name="x")
    record.name, record.text = "z", "b"
    api(record.save, pipeline=pipeline, migrate_key=True)
    pipeline.execute()
    invalidate_cache()
    rows, keys = EmbeddingField.load_embeddings(e)
    row = rows[keys.index("E:z")]
    assert row.tolist() == pytest.approx(np.array(TABLE["b"]) / np.linalg.norm(TABLE["b"]))


def test_vectors_that_are_made_anew_leave_nothing_of_who_is_gone(
    api: Api, e: Any, directory: Path, redis_client: redis.Redis
) -> None:
    for name in ("x", "gone"):
        e.create(name=name, text="a")
    redis_client.delete("E:gone")
    assert api(e.reembed, anew=True) == 1
    assert embedding_field._read_index("E") == {X: "E:x"}
    assert {each.name for each in (directory / "E").iterdir()} == {X, "_index.json"}
    assert found(e) == ["x"]


def test_an_index_that_cannot_be_read_is_empty_with_a_warning(
    e: Any, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert embedding_field._read_index("E") == {}
    embedding_field._write_index("E", {"f.npy": "E:é"})
    assert embedding_field._read_index("E") == {"f.npy": "E:é"}
    for wrong in ("{", "[1]"):
        (directory / "E" / "_index.json").write_text(wrong)
        caplog.clear()
        assert embedding_field._read_index("E") == {}
        assert "_index.json" in caplog.text


def test_all_vectors_are_loaded_as_unit_vectors(api: Api, e: Any) -> None:
    assert EmbeddingField.load_embeddings(e) == (None, [])
    for name in "abd":
        e.create(name=name, text=name)
    matrix, keys = api(EmbeddingField.load_embeddings, e)
    rows = dict(zip(keys, matrix.tolist(), strict=True))
    assert rows["E:a"] == pytest.approx([0.6, 0.8, 0])
    assert rows["E:d"] == [0, 0, 1]
    assert matrix.dtype == np.float32
    assert EmbeddingField.load_embeddings(e)[0] is matrix


def test_files_by_an_earlier_scheme_are_found_and_replaced(e: Any, directory: Path) -> None:
    saved = e.create(name="x", text="a")
    legacy = Path(EmbeddingField._legacy_embedding_path("E", "E:x"))
    assert legacy.name == b"E:x".hex() + ".npy"
    (directory / "E" / X).rename(legacy)
    embedding_field._write_index("E", {})
    invalidate_cache("E")
    assert EmbeddingField.load_embeddings(e)[1] == ["E:x"]
    assert embedding_field._read_index("E") == {legacy.name: "E:x"}
    saved.save()
    assert not legacy.exists()
    assert embedding_field._read_index("E") == {X: "E:x"}


def test_a_delete_takes_what_an_earlier_scheme_has_left(api: Api, e: Any, directory: Path) -> None:
    saved = e.create(name="x", text="a")
    legacy = Path(EmbeddingField._legacy_embedding_path("E", "E:x"))
    np.save(legacy, np.zeros(3, dtype=np.float32))
    embedding_field._write_index("E", {X: "E:x", legacy.name: "E:x"})
    api(saved.delete)
    assert not legacy.exists()
    assert embedding_field._read_index("E") == {}


def test_an_unchanged_save_still_tidies_up(e: Any, directory: Path, provider: Known) -> None:
    saved = e.create(name="x", text="a")
    legacy = Path(EmbeddingField._legacy_embedding_path("E", "E:x"))
    np.save(legacy, np.zeros(3, dtype=np.float32))
    saved.save()
    assert not legacy.exists()
    assert provider.texts == ["a"]
    (directory / "E" / X).unlink()
    saved.save()
    assert provider.texts == ["a", "a"]
    assert found(e) == ["x"]


@pytest.mark.parametrize("odd", "abcdef")
def test_the_length_that_most_vectors_have_decides(e: Any, odd: str) -> None:
    for name in "abcdef":
        e.create(name=name, text="a")
    np.save(EmbeddingField._embedding_path("E", f"E:{odd}"), np.ones(2, dtype=np.float32))
    invalidate_cache("E")
    assert sorted(EmbeddingField.load_embeddings(e)[1]) == [
        f"E:{name}" for name in "abcdef" if name != odd
    ]


@pytest.mark.parametrize("odd", "ab")
def test_of_two_lengths_the_older_decides(e: Any, odd: str) -> None:
    for name in "ab":
        e.create(name=name, text="a")
        age(Path(EmbeddingField._embedding_path("E", f"E:{name}")), 100)
    np.save(EmbeddingField._embedding_path("E", f"E:{odd}"), np.ones(2, dtype=np.float32))
    invalidate_cache("E")
    assert found(e) == ["b" if odd == "a" else "a"]


def test_the_length_that_was_noted_decides(e: Any, provider: Known) -> None:
    provider.name = "minilm"
    for name in "abc":
        e.create(name=name, text="a")
    for odd in "bc":
        path = Path(EmbeddingField._embedding_path("E", f"E:{odd}"))
        np.save(path, np.ones(2, dtype=np.float32))
        age(path, 100)
    invalidate_cache("E")
    assert found(e) == ["a"]


@pytest.mark.parametrize(
    "planted",
    [
        b"",
        b"garbage",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,), }",
    ],
)
def test_what_is_no_vector_is_left_out_with_a_warning(
    e: Any, directory: Path, caplog: pytest.LogCaptureFixture, planted: bytes
) -> None:
    for name in "ab":
        e.create(name=name, text=name)
    Path(EmbeddingField._embedding_path("E", "E:b")).write_bytes(planted)
    invalidate_cache()
    assert EmbeddingField.load_embeddings(e)[1] == ["E:a"]
    assert "left out" in caplog.text


def test_loading_carries_nothing_out(e: Any, directory: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "exploded"),)

    for name in "ab":
        e.create(name=name, text=name)
    path = EmbeddingField._embedding_path("E", "E:b")
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    invalidate_cache()
    assert EmbeddingField.load_embeddings(e)[1] == ["E:a"]
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("vector", [[1, float("nan"), 0], [1, 2], [[1, 2, 3]], []])
def test_a_vector_unlike_the_others_stops_no_search(
    e: Any, vector: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        e.create(name=name, text=name)
    np.save(EmbeddingField._embedding_path("E", "E:c"), np.array(vector, dtype=np.float32))
    invalidate_cache()
    assert found(e, "up") == ["a", "b"]
    assert "left out" in caplog.text


def test_unknown_files_are_skipped(e: Any, directory: Path) -> None:
    e.create(name="a", text="a")
    np.save(directory / "E" / "stranger.npy", np.ones(3, dtype=np.float32))
    np.save(directory / "E" / "tmpabc_1.npy", np.ones(3, dtype=np.float32))
    assert EmbeddingField.load_embeddings(e)[1] == ["E:a"]


def test_what_another_process_writes_is_seen_by_the_next_search(e: Any, directory: Path) -> None:
    e.create(name="a", text="b")
    e.create(name="x", text="b")
    assert found(e) == []
    # As another process does it: beside its place, then renamed.
    temporary = directory / "E" / "tmp123.npy"
    np.save(temporary, np.array([1, 0, 0], dtype=np.float32))
    temporary.replace(directory / "E" / X)
    assert found(e) == ["x"]


def test_changes_within_one_tick_of_the_clock_of_files_are_seen(
    e: Any, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e.create(name="x", text="b")
    now = time.time_ns()
    monkeypatch.setattr(VectorDirectory, "stamp", lambda _: ((1, 1, now + 10**10),))
    assert found(e) == []
    temporary = directory / "E" / "tmp123.npy"
    np.save(temporary, np.array([1, 0, 0], dtype=np.float32))
    temporary.replace(directory / "E" / X)
    assert found(e) == ["x"]


def test_writers_in_threads_lose_no_entry(e: Any) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 20):
            e.create(name=f"n{number}", text="a")

    threads = [threading.Thread(target=write, args=(20 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(embedding_field._read_index("E")) == 80
    assert len(e.query.semantic_search("right", limit=100)) == 80


def test_without_a_cache_nothing_stays_in_memory(provider: Known) -> None:
    class Plain(Model):
        name = KeyField()
        text = StringField()
        emb = EmbeddingField(source="text", provider=provider, cache=False)

    Plain.create(name="a", text="a")
    first, _ = EmbeddingField.load_embeddings(Plain)
    second, _ = EmbeddingField.load_embeddings(Plain)
    assert first is not second
    assert found(Plain) == ["a"]


def test_the_directory_is_the_one_named_last(
    e: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popoto.configure(content_path=tmp_path / "named")
    assert embedding_field._get_embeddings_dir() == str(tmp_path / "named" / ".embeddings")
    e.create(name="a", text="a")
    assert found(e) == ["a"]
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path / "later"))
    assert embedding_field._get_embeddings_dir() == str(tmp_path / "later" / ".embeddings")
    assert found(e) == []


# Housekeeping ----------------------------------------------------------------------------------


def test_collecting_needs_the_word_of_the_class(
    api: Api, e: Any, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e.create(name="a", text="a")
    orphan = directory / "E" / ("0" * 64 + ".npy")
    np.save(orphan, np.ones(3, dtype=np.float32))

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was removed")

    with monkeypatch.context() as patched:
        patched.setattr(embedding_field.os, "unlink", forbidden)
        assert api(EmbeddingField.garbage_collect, e, min_age_seconds=0) == 0
    assert orphan.exists()


def test_collecting_removes_what_belongs_to_no_record(api: Api, e: Any, directory: Path) -> None:
    e.__embedding_garbage_collect__ = True
    assert api(EmbeddingField.garbage_collect, e) == 0
    e.create(name="a", text="a")
    folder = directory / "E"
    old, young, temporary, strange = (
        folder / ("0" * 64 + ".npy"),
        folder / ("1" * 64 + ".npy"),
        folder / "tmpold.npy",
        folder / "tmp-old.npy",
    )
    for path in (old, young, temporary, strange):
        np.save(path, np.ones(3, dtype=np.float32))
    age(old, 301)
    age(temporary, 301)
    age(strange, 301)
    age(Path(EmbeddingField._embedding_path("E", "E:a")), 301)
    embedding_field._write_index(
        "E", {**embedding_field._read_index("E"), old.name: "E:gone", young.name: "E:new"}
    )
    assert api(EmbeddingField.garbage_collect, e) == 1
    assert not old.exists()
    assert young.exists()
    assert temporary.exists()
    assert strange.exists()
    # A save that is under way has written its vector, and its record comes next.
    assert sorted(embedding_field._read_index("E").values()) == ["E:a", "E:new"]
    assert embedding_field._compute_expected_keep(e) == {
        Path(EmbeddingField._embedding_path("E", "E:a")).name
    }


def test_temporary_files_of_killed_writers_are_swept(e: Any, directory: Path) -> None:
    assert EmbeddingField.sweep_stale_tempfiles(e) == 0
    e.create(name="a", text="a")
    for name in ("tmpold_1.npy", "tmpnew.npy", "tmp-other.npy"):
        (directory / "E" / name).write_bytes(b"")
    age(directory / "E" / "tmpold_1.npy", 3601)
    age(directory / "E" / "tmp-other.npy", 3601)
    assert EmbeddingField.sweep_stale_tempfiles(e) == 1
    assert not (directory / "E" / "tmpold_1.npy").exists()


def test_the_directory_of_a_further_field_stands_below_that_of_the_first(
    directory: Path,
) -> None:
    class Both(Model):
        name = KeyField()
        text = StringField()
        one = EmbeddingField(source="text", provider=Known(TABLE))
        two = EmbeddingField(source="text", provider=Known(TABLE))

    Both.create(name="a", text="a")
    assert len(list((directory / "Both").glob("*.npy"))) == 1
    assert len(list((directory / "Both" / "two").glob("*.npy"))) == 1


def test_a_model_that_has_a_name_is_noted(e: Any, provider: Known, directory: Path) -> None:
    provider.name = "minilm"
    e.create(name="a", text="a")
    noted = json.loads((directory / "E" / "_about.json").read_text())
    assert noted == {"model": "minilm", "dimensions": 3}
