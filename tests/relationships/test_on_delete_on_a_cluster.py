"""Rules for deleted records where models are kept on different nodes."""

from __future__ import annotations

import pytest

import popoto
from popoto import (
    CASCADE,
    PROTECT,
    SET_NULL,
    KeyField,
    Model,
    ModelException,
    Relationship,
)
from popoto.exceptions import ProtectedError
from popoto.models.transactions import Transaction
from tests.driver import Api, at_the
from tests.interference import before_each_commit

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


class Band(Model):
    name = KeyField()


class Song(Model):
    name = KeyField()
    band = Relationship(Band, on_delete=CASCADE)
    cover_of = Relationship("self", on_delete=SET_NULL, related_name="covers")
    follows = Relationship("self", on_delete=CASCADE, related_name="followers")


class Poster(Model):
    name = KeyField()
    song = Relationship(Song, on_delete=SET_NULL)


class Contract(Model):
    name = KeyField()
    band = Relationship(Band, on_delete=PROTECT)


def stored() -> dict[str, int]:
    for model in (Band, Song, Poster, Contract):
        assert model.check_indexes()["total"] == 0
    return {
        model.__name__: number
        for model in (Band, Song, Poster, Contract)
        if (number := model.query.filter().count()) > 0
    }


@pytest.fixture
def band() -> Band:
    made = Band.create(name="b")
    for number in range(3):
        Song.create(name=str(number), band=made)
        Poster.create(name=str(number), song=f"Song:{number}")
    return made


@pytest.mark.parametrize("way", ["record", "query", "all", "pipeline"])
def test_the_rules_hold_across_nodes(api: Api, band: Band, way: str) -> None:
    if way == "record":
        assert api(band.delete) is True
    elif way == "query":
        assert api(Band.query.filter(name="b").delete) == 1
    elif way == "all":
        assert api(Band.delete_all) == 1
    else:
        with popoto.get_redis().pipeline(transaction=False) as pipeline:
            band.delete(pipeline)
            pipeline.execute()
    assert stored() == {"Poster": 3}
    assert [each.song for each in Poster.query.all()] == [None, None, None]


def test_what_is_protected_on_another_node_refuses_before_anything_is_written(
    api: Api, band: Band
) -> None:
    Contract.create(name="c", band=band)
    for method in (band.delete, Band.delete_all, Band.query.filter(name="b").delete):
        with pytest.raises(ProtectedError, match="'Contract:c'; nothing was written"):
            api(method)
    assert stored() == {"Band": 1, "Song": 3, "Poster": 3, "Contract": 1}


def test_a_record_that_is_gone_already_takes_nobody_along(api: Api, band: Band) -> None:
    gone = Band.query.get("Band:b")
    band.delete()
    Song.create(name="orphan", band="Band:b")
    assert api(gone.delete) is False
    assert stored() == {"Poster": 3, "Song": 1}


def test_who_comes_to_depend_on_it_before_it_goes_follows_it(
    api: Api, band: Band, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        made = Band.create(name="b", overwrite=True)
        Song.create(name="first", band=made, overwrite=True)

        def work() -> None:
            Song.create(name="late", band="Band:b", overwrite=True)

        with monkeypatch.context() as patch:
            before_each_commit(patch, at_the(number, work))
            assert api(made.delete) is True
        assert Song.query.filter(band="Band:b").count() == 0


def test_records_of_one_model_go_in_one_step(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    Song.create(name="a")
    Song.create(name="b", follows="Song:a")
    Song.create(name="c", cover_of="Song:b")
    calls: list[int] = []
    work = Transaction()
    work.delete(Song.query.get("Song:a"))
    with monkeypatch.context() as patch:
        before_each_commit(patch, lambda: calls.append(1))
        assert api(work.commit) == [True]
    assert len(calls) == 1
    assert stored() == {"Song": 1}
    assert Song.query.get("Song:c").to_dict()["cover_of"] is None


def test_a_transaction_keeps_to_one_shard(api: Api, band: Band) -> None:
    work = Transaction()
    work.delete(band)
    with pytest.raises(ModelException, match="concerns one shard, not Band, Poster, Song"):
        api(work.commit)
    two = Transaction()
    two.save(Song(name="x"))
    two.save(Poster(name="x"))
    with pytest.raises(ModelException, match="concerns one shard, not Poster, Song:"):
        api(two.commit)
    assert stored() == {"Band": 1, "Song": 3, "Poster": 3}
