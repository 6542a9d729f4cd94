"""Content on Redis Cluster: references, moves and the collection of what is left over."""

from __future__ import annotations

from pathlib import Path

import pytest

from popoto import ContentField, KeyField, Model
from tests.driver import Api

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("on_the_cluster"),
]


class Letter(Model):
    name = KeyField()
    body = ContentField()


class Reply(Model):
    name = KeyField()
    body = ContentField()


def test_texts_are_stored_moved_and_collected(api: Api, directory: Path) -> None:
    letter = api(Letter.create, name="a", body="one")
    api(Reply.create, name="a", body="one")
    letter.name = "b"
    api(letter.save, migrate_key=True)
    api(Letter.bulk_create, [Letter(name=str(number), body="x") for number in range(10)])
    gone = api(Letter.create, name="gone", body="gone")
    api(gone.delete)
    assert api(ContentField.garbage_collect, Letter, min_age_seconds=0) == 1
    assert api(Letter.query.get, name="b").body == "one"
    assert api(Reply.query.get, name="a").body == "one"
    assert {each.body for each in api(Letter.query.all)} == {"one", "x"}
    for each in [*api(Letter.query.all), *api(Reply.query.all)]:
        api(each.delete)
