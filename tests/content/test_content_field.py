"""Texts in content stores: what records hold, what attributes give, what is never lost."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest
import redis

from popoto import (
    POPOTO_REDIS_DB,
    ContentField,
    IntField,
    KeyField,
    Model,
    ModelException,
    QueryException,
    StringField,
    configure,
    transaction,
)
from popoto.exceptions import ConflictError, UniquenessError
from popoto.fields.content_field import get_default_store, set_default_store
from popoto.stores import FilesystemStore
from tests.content.conftest import CountingStore
from tests.driver import Api


class Note(Model):
    name = KeyField()
    body = ContentField()
    stars = IntField(default=0)


class Article(Model):
    slug = KeyField()
    title = StringField()
    body = ContentField(null=False, max_length=20)
    summary = ContentField()

    class Meta:
        indexes = ((("title",), True),)


def stored(client: redis.Redis, key: str, field: str = "body") -> Any:
    raw = client.hget(key, field)
    return None if raw is None else msgpack.unpackb(raw)


def reference(text: str, path: str) -> str:
    return f"$CF:{hashlib.sha256(text.encode()).hexdigest()}:{path}"


def files(directory: Path) -> list[str]:
    found = (each for each in directory.rglob("*.*") if each.is_file())
    return sorted(str(each.relative_to(directory)) for each in found)


# ── What is stored ───────────────────────────────────────────────────────────


def test_the_record_holds_a_reference_and_the_store_the_text(
    api: Api, redis_client: redis.Redis, directory: Path
) -> None:
    note = api(Note.create, name="a", body="hello")
    assert stored(redis_client, "Note:a") == reference("hello", "Note/a.txt")
    assert (directory / "Note/a.txt").read_text() == "hello"
    assert note.body == "hello"
    assert vars(note)["body"] == reference("hello", "Note/a.txt")


def test_the_text_is_never_sent_to_the_server(api: Api, round_trips: Any) -> None:
    sent: list[bytes] = []
    with POPOTO_REDIS_DB.monitor() as monitor:
        note = api(Note.create, name="a", body="a secret of some length")
        note.body = "another secret"
        api(note.save)
        POPOTO_REDIS_DB.ping()
        for command in monitor.listen():
            sent.append(command["command"].encode())
            if command["command"] == "PING":
                break
    assert not any(b"secret" in each for each in sent)


@pytest.mark.parametrize("empty", [None, ""])
def test_nothing_and_empty_text_need_no_file(
    api: Api, redis_client: redis.Redis, directory: Path, empty: str | None
) -> None:
    note = api(Note.create, name="a", body=empty)
    assert stored(redis_client, "Note:a") == empty
    assert vars(note)["body"] == empty
    assert api(Note.query.get, name="a").body == empty
    assert not directory.exists()


def test_the_text_can_be_long_and_of_any_script(api: Api) -> None:
    text = "æ漢字 \0 🦔\r\n" * 20_000
    api(Note.create, name="a", body=text)
    assert api(Note.query.get, name="a").body == text


def test_max_length_and_null_are_enforced(api: Api) -> None:
    with pytest.raises(ModelException, match="max_length"):
        Article(slug="x", body="b" * 21)
    with pytest.raises(ModelException, match="null"):
        api(Article.create, slug="x")


def test_bytes_are_refused(directory: Path) -> None:
    note = Note(name="a")
    note.body = b"\x00\xff"  # type: ignore[assignment]
    with pytest.raises(ModelException, match="bytes"):
        note.save()
    with pytest.raises(ModelException, match="bytes"):
        Note(name="a", body=b"x")
    assert not directory.exists()


def test_text_that_cannot_be_encoded_is_refused_before_anything_is_written(
    api: Api, directory: Path, redis_client: redis.Redis
) -> None:
    with pytest.raises(ModelException, match="surrogate"):
        api(Note.create, name="a", body="\ud800")
    assert not directory.exists()
    assert not redis_client.keys()


@pytest.mark.parametrize("option", ["key", "unique", "indexed", "sorted"])
def test_content_cannot_be_indexed(option: str) -> None:
    with pytest.raises(ModelException, match="cannot be indexed"):
        ContentField(**{option: True})


def test_conditions_on_content_are_refused(api: Api) -> None:
    with pytest.raises(QueryException, match="no lookups"):
        list(Note.query.filter(body="x"))
    with pytest.raises(QueryException, match="no lookups"):
        list(Note.query.filter(Note.body == "x"))


# ── Reading ──────────────────────────────────────────────────────────────────


def all_of(api: Api, query: Any) -> list[Any]:
    return api(query.all)


def test_every_way_of_reading_gives_the_text_and_loads_it_at_the_first_touch(
    api: Api, counting: CountingStore
) -> None:
    set_default_store(counting)
    for name in "ab":
        api(Note.create, name=name, body=f"text of {name}")
    found = [
        api(Note.query.get, name="a"),
        api(Note.load, "Note:a"),
        *api(Note.query.filter(name="a").all),
        api(Note.query.filter(name="a").first),
        *api(Note.query.get_many, redis_keys=["Note:a"]),
    ]
    assert counting.loaded == []
    assert [each.body for each in found] == ["text of a"] * 5
    assert len(counting.loaded) == 5
    assert [each.body for each in found] == ["text of a"] * 5
    assert len(counting.loaded) == 5
    assert found[0].to_dict()["body"] == "text of a"


def test_values_gives_the_reference_and_asks_no_store(api: Api, counting: CountingStore) -> None:
    set_default_store(counting)
    api(Note.create, name="a", body="text")
    assert api(Note.query.filter(name="a").values("body").all) == [{"body": "mem://0"}]
    assert counting.loaded == []


def test_a_missing_file_fails_the_touch_and_nothing_else(
    api: Api, directory: Path, redis_client: redis.Redis
) -> None:
    api(Note.create, name="a", body="hello", stars=1)
    (directory / "Note/a.txt").unlink()
    note = api(Note.query.get, name="a")
    assert note.stars == 1
    expected = reference("hello", "Note/a.txt")
    with pytest.raises(FileNotFoundError, match="Content file missing") as raised:
        note.body
    assert all(part in str(raised.value) for part in ("body", "Note", expected))
    note.stars = 2
    api(note.save)
    assert stored(redis_client, "Note:a") == expected
    assert api(note.delete) is True
    note = api(Note.create, name="b", body="hello")
    (directory / "Note/b.txt").unlink()
    note.body = "hello"
    api(note.save)
    assert api(Note.query.get, name="b").body == "hello"


@pytest.mark.parametrize(
    "bad", ["$CF:" + "0" * 64 + ":Note/x.txt", "$CF:nothing:Note/x.txt", "$CF:nothing"]
)
def test_a_bad_reference_in_the_dictionary_fails_the_touch(bad: str) -> None:
    note = Note.create(name="a", body="hello")
    vars(note)["body"] = bad
    vars(note).pop("_content_cache_body", None)
    with pytest.raises(FileNotFoundError, match="Content file missing"):
        note.body


def test_planted_bytes_are_an_error_that_names_the_record(redis_client: redis.Redis) -> None:
    Note.create(name="a", body="hello")
    redis_client.hset("Note:a", "body", b"\xc1")
    with pytest.raises(ModelException, match="Note:a"):
        Note.query.get(name="a").body


def test_assigning_forgets_the_loaded_text() -> None:
    note = Note.create(name="a", body="hello")
    assert vars(note)["_content_cache_body"] == "hello"
    note.body = "new"
    assert "_content_cache_body" not in vars(note)
    assert note.body == "new"


def test_refresh_reads_what_another_writer_stored(api: Api) -> None:
    note = api(Note.create, name="a", body="one")
    other = api(Note.query.get, name="a")
    other.body = "two"
    api(other.save)
    assert note.body == "one"
    api(note.refresh)
    assert note.body == "two"


async def test_texts_can_be_preloaded(counting: CountingStore) -> None:
    set_default_store(counting)
    for name in "ab":
        await Note.async_create(name=name, body=name * 3)
    notes = await Note.query.async_all()
    await Note.body.async_preload(*notes)
    assert len(counting.loaded) == 2
    assert sorted(note.body for note in notes) == ["aaa", "bbb"]
    assert len(counting.loaded) == 2


# ── Saving again ─────────────────────────────────────────────────────────────


def test_unchanged_text_is_neither_read_nor_stored_again(api: Api, counting: CountingStore) -> None:
    set_default_store(counting)
    note = api(Note.create, name="a", body="hello")
    api(note.save)
    loaded = api(Note.query.get, name="a")
    loaded.stars = 5
    api(loaded.save)
    api(loaded.save, update_fields=["stars", "body"])
    assert len(counting.saved) == 1
    assert counting.loaded == []


def test_a_new_text_replaces_the_old_one_which_stays_in_the_archive(
    api: Api, directory: Path, redis_client: redis.Redis
) -> None:
    note = api(Note.create, name="a", body="one")
    old = stored(redis_client, "Note:a")
    note.body = "two"
    api(note.save)
    assert api(Note.query.get, name="a").body == "two"
    assert FilesystemStore(directory).load(old) == b"one"
    note.body = None
    api(note.save)
    assert stored(redis_client, "Note:a") is None
    assert (directory / "Note/a.txt").read_text() == "two"


def test_a_partial_save_writes_a_listed_text(api: Api) -> None:
    note = api(Note.create, name="a", body="one")
    note.body = "two"
    note.stars = 9
    api(note.save, update_fields=["body"])
    found = api(Note.query.get, name="a")
    assert (found.body, found.stars) == ("two", 0)
    api(note.save, update_fields=["stars"])
    assert api(Note.query.get, name="a").stars == 9


@pytest.mark.parametrize("text", ["$CF:", "$CF:a:b", "$CF:" + "0" * 64 + ":Note/a.txt"])
def test_text_that_looks_like_a_reference_is_text(api: Api, text: str) -> None:
    note = api(Note.create, name="a", body=text)
    assert note.body == text
    assert api(Note.query.get, name="a").body == text
    note.body = text + "!"
    assert note.body == text + "!"
    assert type(note.body) is str
    api(note.save)
    assert api(Note.query.get, name="a").body == text + "!"


def test_references_of_another_form_are_left_alone(
    api: Api, counting: CountingStore, redis_client: redis.Redis
) -> None:
    set_default_store(counting)
    note = api(Note.create, name="a", body="hello")
    api(note.save)
    found = api(Note.query.get, name="a")
    assert found.body == "hello"
    found.stars = 3
    api(found.save)
    assert stored(redis_client, "Note:a") == "mem://0"
    assert counting.saved == [(b"hello", "a", "Note")]


def test_a_store_that_returns_no_reference_stops_the_save(
    api: Api, counting: CountingStore, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_default_store(counting)
    monkeypatch.setattr(counting, "save", lambda content, key, model_class_name: None)
    with pytest.raises(ModelException, match="no reference"):
        api(Note.create, name="a", body="x")
    assert not redis_client.keys()


# ── Keys, names, deletion ────────────────────────────────────────────────────


def test_a_moved_record_takes_its_text_along(api: Api, redis_client: redis.Redis) -> None:
    note = api(Note.create, name="a", body="hello")
    note.name = "b"
    api(note.save, migrate_key=True)
    assert not redis_client.exists("Note:a")
    assert api(Note.query.get, name="b").body == "hello"
    # Somebody else takes the old key, and its file.
    api(Note.create, name="a", body="other")
    assert api(Note.query.get, name="b").body == "hello"


def test_a_record_that_moves_with_a_new_text(api: Api, redis_client: redis.Redis) -> None:
    note = api(Note.create, name="a", body="one")
    note.name, note.body = "b", "two"
    api(note.save, migrate_key=True)
    assert api(Note.query.get, name="b").body == "two"
    assert stored(redis_client, "Note:b") == reference("two", "Note/b.txt")
    assert redis_client.keys("Note:*") == [b"Note:b"]


def test_keys_that_sanitise_alike_do_not_share_a_file(
    api: Api, directory: Path, redis_client: redis.Redis
) -> None:
    names = ["a/b", "a:b", "a_b", "a*b", "..", "../..", "名前 é!", "x" * 400, "a_0123456789abcdef"]
    for name in names:
        api(Note.create, name=name, body=f"text of {name}")
    assert len(files(directory / "Note")) == len(names)
    assert not (directory / ".versions").exists()
    for name in names:
        assert api(Note.query.get, name=name).body == f"text of {name}"


def test_two_content_fields_do_not_share_a_file(api: Api, directory: Path) -> None:
    api(Article.create, slug="a", body="long", summary="short")
    assert files(directory / "Article") == ["a_body.txt", "a_summary.txt"]
    found = api(Article.query.get, slug="a")
    assert (found.body, found.summary) == ("long", "short")


def test_the_file_is_named_by_the_key_fields_in_order_of_their_names(directory: Path) -> None:
    class Pair(Model):
        z = KeyField()
        a = KeyField()
        body = ContentField()

    Pair.create(z="zz", a="aa", body="x")
    assert files(directory / "Pair") == ["aa_zz.txt"]
    Pair.create(z="c", a="a_b", body="1")
    Pair.create(z="b_c", a="a", body="2")
    assert len(files(directory / "Pair")) == 3


def test_an_auto_key_names_the_file(directory: Path) -> None:
    class Loose(Model):
        body = ContentField()

    loose = Loose.create(body="x")
    assert files(directory / "Loose") == [f"{loose._auto_key}.txt"]


def test_deleting_a_record_leaves_its_file_and_its_text(
    api: Api, directory: Path, redis_client: redis.Redis
) -> None:
    api(Note.create, name="a", body="hello")
    note = api(Note.query.get, name="a")
    assert api(note.delete) is True
    assert not redis_client.exists("Note:a")
    assert (directory / "Note/a.txt").exists()
    assert note.body == "hello"
    api(note.save)
    assert api(Note.query.get, name="a").body == "hello"


# ── All ways of writing ──────────────────────────────────────────────────────


def test_bulk_create_and_bulk_update(api: Api, redis_client: redis.Redis) -> None:
    api(Note.bulk_create, [Note(name=str(number), body=f"text {number}") for number in range(20)])
    assert sorted(note.body for note in api(Note.query.all)) == sorted(
        f"text {number}" for number in range(20)
    )
    assert stored(redis_client, "Note:7") == reference("text 7", "Note/7.txt")
    api(Note.bulk_update, Note.query.filter(name="7"), body="$CF:new")
    assert api(Note.query.get, name="7").body == "$CF:new"
    api(Note.bulk_update, Note.query.filter(name="8"), stars=4)
    assert api(Note.query.get, name="8").body == "text 8"


def test_raw_update_is_refused(api: Api) -> None:
    api(Note.create, name="a", body="hello")
    with pytest.raises(ModelException, match="bulk_update"):
        api(Note.raw_update, ["Note:a"], body="new")


def test_a_callers_pipeline(redis_client: redis.Redis) -> None:
    pipeline = POPOTO_REDIS_DB.pipeline()
    note = Note(name="a", body="hello")
    note.save(pipeline=pipeline)
    assert note.body == "hello"
    assert not redis_client.exists("Note:a")
    pipeline.execute()
    assert Note.query.get(name="a").body == "hello"


def test_a_pipeline_that_is_never_executed_loses_nothing(redis_client: redis.Redis) -> None:
    note = Note.create(name="a", body="one")
    note.body = "two"
    note.save(pipeline=POPOTO_REDIS_DB.pipeline())
    assert Note.query.get(name="a").body == "one"
    note.save()
    assert Note.query.get(name="a").body == "two"


def test_transactions(api: Api) -> None:
    first = api(Note.create, name="a", body="one")
    work = transaction()
    first.body = "two"
    work.save(first)
    work.create(Note, name="b", body="three")
    first.body = "unsaved"
    api(work.commit)
    assert api(Note.query.get, name="a").body == "two"
    assert api(Note.query.get, name="b").body == "three"
    assert first.body == "unsaved"


def test_get_or_create_and_update_or_create(api: Api) -> None:
    note, created = api(Note.get_or_create, name="a", defaults={"body": "one"})
    assert created
    note, created = api(Note.update_or_create, name="a", defaults={"body": "two"})
    assert not created
    assert note.body == "two"
    assert api(Note.query.get, name="a").body == "two"


def test_a_save_of_a_record_that_another_writer_deleted_is_whole_on_request(
    api: Api,
) -> None:
    note = api(Note.create, name="a", body="hello")
    twin = api(Note.query.get, name="a")
    api(twin.delete)
    note.stars = 2
    api(note.save, recreate=True)
    found = api(Note.query.get, name="a")
    assert (found.body, found.stars) == ("hello", 2)


# ── Nothing is lost, and what is left over can be removed ────────────────────


def age(directory: Path, seconds: int = 1000) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            status = path.stat()
            os.utime(path, (status.st_atime, status.st_mtime - seconds))


def test_a_refused_save_loses_no_text_and_can_be_repeated(api: Api, directory: Path) -> None:
    api(Article.create, slug="a", title="t", body="first")
    second = api(Article.create, slug="b", body="second")
    second.title, second.body = "t", "changed"
    with pytest.raises(UniquenessError):
        api(second.save)
    assert second.body == "changed"
    assert api(Article.query.get, slug="b").body == "second"
    age(directory)
    assert api(ContentField.garbage_collect, Article) == 1
    assert api(Article.query.get, slug="b").body == "second"
    second.title = None
    api(second.save)
    assert api(Article.query.get, slug="b").body == "changed"


def test_files_that_nothing_refers_to_are_collected_after_a_while(
    api: Api, directory: Path
) -> None:
    notes = [api(Note.create, name=name, body=f"text {name}") for name in "abc"]
    notes[0].body = "new"
    api(notes[0].save)
    api(notes[1].delete)
    assert api(ContentField.garbage_collect, Note) == 0
    age(directory)
    assert api(ContentField.garbage_collect, Note) == 2
    assert files(directory) == ["Note/a.txt", "Note/c.txt"]
    assert api(Note.query.get, name="a").body == "new"
    assert api(Note.query.get, name="c").body == "text c"
    assert api(ContentField.garbage_collect, Note, min_age_seconds=0) == 0


@pytest.mark.single_server("it asks redis-py for a key, which has a hash tag on a cluster")
def test_collecting_spares_the_archive_of_other_models(api: Api, directory: Path) -> None:
    class Other(Model):
        name = KeyField()
        body = ContentField()

    api(Other.create, name="a/b", body="one")
    note = api(Note.create, name="n", body="one")
    store = FilesystemStore(directory)
    # Somebody writes under the same name by hand, which archives the text that Other needs.
    path = msgpack.unpackb(POPOTO_REDIS_DB.hget(Other.query.get(name="a/b").pk, "body"))
    store.save(b"two", path.rpartition("/")[2].removesuffix(".txt"), "Other")
    api(note.delete)
    age(directory)
    assert api(ContentField.garbage_collect, Note) == 1
    assert api(Other.query.get, name="a/b").body == "one"


def test_interrupted_writes_are_collected(directory: Path) -> None:
    Note.create(name="a", body="x")
    (directory / "Note" / ".writing-0123").write_text("half")
    age(directory)
    assert ContentField.garbage_collect(Note) == 0
    assert files(directory) == ["Note/a.txt"]


def test_collecting_leaves_other_stores_alone(counting: CountingStore) -> None:
    set_default_store(counting)
    Note.create(name="a", body="x").delete()
    assert ContentField.garbage_collect(Note) == 0


# ── Stores ───────────────────────────────────────────────────────────────────


def test_a_field_with_a_store_of_its_own_keeps_it(counting: CountingStore) -> None:
    class Kept(Model):
        name = KeyField()
        body = ContentField(store=counting)

    Kept.create(name="a", body="x")
    assert counting.saved == [(b"x", "a", "Kept")]
    other = CountingStore()
    Kept.body._store = other
    Kept.create(name="b", body="y")
    assert other.saved == [(b"y", "b", "Kept")]


def test_configure_sets_what_it_is_given(tmp_path: Path, counting: CountingStore) -> None:
    before = get_default_store()
    configure()
    assert get_default_store() is before
    configure(content_path=tmp_path / "x")
    store = get_default_store()
    assert isinstance(store, FilesystemStore)
    assert store.base_path == str(tmp_path / "x")
    with pytest.warns(UserWarning, match="nothing reads the content_path"):
        configure(content_store=counting, content_path=tmp_path / "y")
    assert get_default_store() is counting
    configure(embedding_provider=None, content_path=None)
    assert get_default_store() is counting


def test_the_default_store_is_made_once_and_can_be_reset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path / "env"))
    set_default_store(None)
    store = get_default_store()
    assert store is get_default_store()
    assert store.base_path == str(tmp_path / "env")


def test_another_process_reads_the_text(server_url: str, directory: Path) -> None:
    Note.create(name="a", body="from here")
    program = (
        "from popoto import *\n"
        "class Note(Model):\n"
        "    name = KeyField()\n"
        "    body = ContentField()\n"
        "note = Note.query.get(name='a')\n"
        "print(note.body)\n"
        "note.body = 'from there'\n"
        "note.save()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "REDIS_URL": server_url, "POPOTO_CONTENT_PATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("from here\n", "")
    assert Note.query.get(name="a").body == "from there"


def test_text_that_was_stored_before_the_field_had_a_store_stays_readable(
    api: Api, redis_client: redis.Redis, directory: Path
) -> None:
    api(Note.create, name="a")
    redis_client.hset("Note:a", "body", msgpack.packb("inline"))
    note = api(Note.query.get, name="a")
    assert note.body == "inline"
    note.stars = 1
    api(note.save)
    assert not directory.exists()
    note.body = "changed"
    api(note.save)
    assert stored(redis_client, "Note:a") == reference("changed", "Note/a.txt")
    gc.collect()


def test_a_deleted_record_is_saved_again_after_its_text_was_collected(
    api: Api, directory: Path
) -> None:
    note = api(Note.create, name="a", body="$CF:hello")
    api(note.delete)
    assert api(ContentField.garbage_collect, Note, min_age_seconds=0) == 1
    api(note.save)
    assert api(Note.query.get, name="a").body == "$CF:hello"


def test_a_pipeline_is_given_up_and_the_text_collected_before_the_next_save() -> None:
    note = Note.create(name="a", body="one")
    note.body = "two"
    note.save(pipeline=POPOTO_REDIS_DB.pipeline())
    ContentField.garbage_collect(Note, min_age_seconds=0)
    note.save()
    assert Note.query.get(name="a").body == "two"


def test_an_archived_text_that_is_in_use_again_is_young_again(
    directory: Path, redis_client: redis.Redis
) -> None:
    store = FilesystemStore(directory)
    store.save(b"one", "a", "Note")
    store.save(b"two", "a", "Note")
    age(directory)
    reference = store.save(b"one", "a", "Note")
    store.save(b"three", "a", "Note")
    # Nothing refers to "one" yet: its record is about to be written.
    ContentField.garbage_collect(Note)
    assert store.load(reference) == b"one"


def test_an_expectation_cannot_name_a_text(api: Api) -> None:
    note = api(Note.create, name="a", body="one")
    note.stars = 1
    with pytest.raises(ModelException, match="content store"):
        api(note.save, expected={"body": "one"})
    api(note.save, expected=True)
    twin = api(Note.query.get, name="a")
    twin.body = "two"
    api(twin.save)
    note.stars = 2
    with pytest.raises(ConflictError):
        api(note.save, expected=["body"])


def test_content_is_no_part_of_a_composite_index() -> None:
    with pytest.raises(ModelException, match="content"):

        class Wrong(Model):
            name = KeyField()
            body = ContentField()

            class Meta:
                indexes = ((("name", "body"), True),)


def test_writers_of_one_record_leave_a_text_that_can_be_read(redis_client: redis.Redis) -> None:
    Note.create(name="a", body="first")
    errors: list[Exception] = []

    def write(who: int) -> None:
        try:
            for number in range(12):
                note = Note.query.get(name="a")
                note.body = f"{number} of {who}"
                note.save()
                assert " of " in Note.query.get(name="a").body
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ContentField.garbage_collect(Note, min_age_seconds=5)
    for thread in threads:
        thread.join()
    assert errors == []
