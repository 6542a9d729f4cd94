"""Rows that save or delete themselves, where too few replicas have what they wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

import popoto
from popoto import IntField, KeyField, Model, StringField
from popoto.exceptions import BulkError, ModelException, NotReplicatedError
from tests.driver import Api

pytestmark = pytest.mark.single_server("here it waits in vain, and a cluster has replicas")


class Entry(Model):
    name = KeyField()


class Parcel(Model):
    """Saves and deletes itself; may write of it elsewhere first, or be refused."""

    name = KeyField()
    note = StringField()
    size = IntField(default=0)
    _refuses = False
    _notes_first = False

    def save(self, *arguments: Any, **options: Any) -> Any:
        if self._refuses:
            raise ModelException("it refuses")
        if self._notes_first:
            Entry(name=self.name).save()
        return super().save(*arguments, **options)

    def delete(self, *arguments: Any, **options: Any) -> Any:
        if self._refuses:
            raise ModelException("it refuses")
        return super().delete(*arguments, **options)


@contextmanager
def waiting(api: Api, seconds: float = 0.01) -> Iterator[Api]:
    """Both ways of calling, by a task or thread that waits. Nobody replicates this server."""
    with popoto.wait_for_replicas(1, timeout=seconds):
        patient = Api(is_async=api.is_async)
        try:
            yield patient
        finally:
            patient.close()


def three() -> list[Parcel]:
    return [Parcel(name=name) for name in "abc"]


def stored() -> list[str]:
    return sorted(parcel.name for parcel in Parcel.query.all())


def test_all_rows_are_created_and_the_error_has_the_result(api: Api) -> None:
    parcels = three()
    with pytest.raises(NotReplicatedError) as caught, waiting(api) as patient:
        patient(Parcel.bulk_create, parcels, batch_size=2)
    assert stored() == ["a", "b", "c"]
    assert caught.value.result == parcels
    assert (caught.value.wanted, caught.value.replicas) == (1, 0)


def test_all_rows_are_updated(api: Api) -> None:
    parcels = api(Parcel.bulk_create, three())
    with pytest.raises(NotReplicatedError) as caught, waiting(api) as patient:
        patient(Parcel.bulk_update, parcels, size=3)
    assert [parcel.size for parcel in Parcel.query.all()] == [3, 3, 3]
    assert caught.value.result == 3


def test_all_rows_are_deleted(api: Api) -> None:
    parcels = api(Parcel.bulk_create, three())
    with pytest.raises(NotReplicatedError) as caught, waiting(api) as patient:
        patient(Parcel.bulk_delete, parcels)
    assert stored() == []
    assert caught.value.result == 3


def test_the_time_is_spent_once(api: Api) -> None:
    start = time.monotonic()
    with pytest.raises(NotReplicatedError), waiting(api, 0.3) as patient:
        patient(Parcel.bulk_create, [Parcel(name=str(number)) for number in range(20)])
    assert time.monotonic() - start < 3


def test_a_row_that_is_refused_after_it_is_told_with_those_that_are_stored(api: Api) -> None:
    parcels = three()
    parcels[2]._refuses = True
    with pytest.raises(BulkError) as caught, waiting(api) as patient:
        patient(Parcel.bulk_create, parcels)
    assert (caught.value.done, caught.value.stored) == (2, [0, 1])
    assert [row.position for row in caught.value.errors] == [2]
    assert stored() == ["a", "b"]


def test_so_is_one_that_does_not_delete_itself(api: Api) -> None:
    parcels = api(Parcel.bulk_create, three())
    parcels[2]._refuses = True
    with pytest.raises(BulkError) as caught, waiting(api) as patient:
        patient(Parcel.bulk_delete, parcels)
    assert (caught.value.done, caught.value.stored) == (2, [0, 1])
    assert stored() == ["c"]


@pytest.mark.parametrize("changes", [False, True])
def test_a_row_counts_only_if_it_was_the_one_that_was_written(api: Api, changes: bool) -> None:
    """What it wrote elsewhere is not the row, which the error kept from being written."""
    parcels = three()
    if changes:
        api(Parcel.bulk_create, parcels)
    parcels[1]._notes_first = True
    parcels[0].note = parcels[1].note = "new"
    api(parcels[0].save)
    with pytest.raises(NotReplicatedError) as caught, waiting(api) as patient:
        patient(Parcel.bulk_create, parcels[1:])
    assert Entry.query.count() == 1
    assert [each.note for each in Parcel.query.all()].count("new") == 1
    assert not getattr(caught.value, "__notes__", [])


def test_a_row_that_says_it_saved_nothing_does_not_count(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcels = three()
    parcels[2]._refuses = True
    monkeypatch.setattr(Parcel, "pre_save", lambda parcel, **_: parcel.name != "a")
    with pytest.raises(BulkError) as caught:
        api(Parcel.bulk_create, parcels)
    assert (caught.value.done, caught.value.stored) == (1, [1])
    assert stored() == ["b"]


class Marked(Parcel):
    """Queues a command that the server refuses."""

    name = KeyField()

    def _on_commit(self, batch: Any, commit: Any) -> None:
        if self.size:
            batch.put("SET", "other", "x", "PX", "no number")


@pytest.mark.parametrize("method", ["bulk_create", "bulk_delete"])
def test_a_row_whose_hook_was_refused_counts_as_stored(
    api: Api, redis_client: redis.Redis, method: str
) -> None:
    """Since it is; the commands of hooks are another matter."""
    rows = [Marked(name=name) for name in "abc"]
    if method == "bulk_delete":
        api(Marked.bulk_create, rows)
    rows[1].size = 1
    with pytest.raises(redis.ResponseError) as caught:
        api(getattr(Marked, method), rows)
    (told,) = caught.value.__notes__
    assert "2 rows were written before that" in told
    assert len(redis_client.keys("Marked:*")) == (2 if method == "bulk_create" else 1)


def test_the_result_is_that_of_the_call_also_of_rows_that_are_written_together(api: Api) -> None:
    entries = [Entry(name="a"), Entry(name="b")]
    with pytest.raises(NotReplicatedError) as caught, waiting(api) as patient:
        patient(Entry.bulk_create, entries)
    assert caught.value.result == entries
    with pytest.raises(NotReplicatedError) as caught, waiting(api) as patient:
        patient(Entry.bulk_create, entries, keep=False)
    assert caught.value.result == 2
