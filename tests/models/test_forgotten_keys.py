"""A key that was forgotten: the record would share its place with every other one without a key."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    StringField,
    transaction,
)
from popoto.exceptions import AlreadyExistsError, BulkError, ValidationError
from popoto.models.base import TypedModel
from tests.driver import Api

FORGOTTEN = pytest.warns(UserWarning, match=r"Page: no key field has a value \(title\)")


class Page(Model):
    title = KeyField()
    text = IndexedField()


class Flat(Model):
    street = KeyField()
    number = KeyField(type=int)
    rent = SortedField(default=0.0)


class Named(Model):
    title = KeyField(null=False)
    text = StringField()


class Annotated(TypedModel):
    title: str = KeyField()
    floor: int | None = KeyField()
    wing: str = KeyField(null=True)
    anything: Any = KeyField()


def texts() -> list[str]:
    return [page.text for page in Page.query.all()]


def test_the_first_record_without_a_key_warns_and_the_second_is_refused(api: Api) -> None:
    with FORGOTTEN:
        api(Page(text="first").save)
    refused = pytest.raises(AlreadyExistsError, match=r"'Page:None' already exists; nothing was")
    with FORGOTTEN, refused:
        api(Page(text="second").save)
    with FORGOTTEN, refused:
        api(Page.create, text="second")
    assert texts() == ["first"]
    assert Page.query.filter(text="second").count() == 0


def test_it_is_refused_in_bulk_in_a_transaction_and_in_a_pipeline(
    api: Api, redis_client: redis.Redis
) -> None:
    with FORGOTTEN, pytest.raises(BulkError, match="title") as caught:
        api(Page.bulk_create, [Page(text="a"), Page(text="b")])
    assert [error.position for error in caught.value.errors] == [1]
    assert texts() == ["a"]
    saved = transaction()
    with FORGOTTEN:
        saved.save(Page(text="c"))
    with pytest.raises(AlreadyExistsError):
        saved.commit()
    with FORGOTTEN, pytest.raises(AlreadyExistsError):
        Page(text="d").save(pipeline=redis_client.pipeline())
    assert texts() == ["a"]


def test_two_of_them_in_one_pipeline_are_refused_at_once(redis_client: redis.Redis) -> None:
    pipeline = redis_client.pipeline()
    with FORGOTTEN:
        Page(text="a").save(pipeline=pipeline)
    with FORGOTTEN, pytest.raises(AlreadyExistsError):
        Page(text="b").save(pipeline=pipeline)
    pipeline.execute()
    assert texts() == ["a"]


def test_a_record_without_a_key_is_loaded_changed_and_deleted_as_any_other(api: Api) -> None:
    with FORGOTTEN:
        api(Page.create, text="first")
    (page,) = api(Page.query.all)
    page.text = "changed"
    api(page.save)
    assert texts() == ["changed"]
    assert api(page.delete) is True
    with FORGOTTEN:
        api(page.save)
    assert texts() == ["changed"]


def test_what_is_asked_to_replace_it_does(api: Api) -> None:
    with FORGOTTEN:
        api(Page.create, text="first")
    with FORGOTTEN:
        api(Page.create, text="second", overwrite=True)
    assert texts() == ["second"]


def test_one_key_field_with_a_value_is_a_key(api: Api) -> None:
    api(Flat(street="a", rent=1).save)
    api(Flat(street="a", rent=2).save)
    assert [flat.rent for flat in Flat.query.all()] == [2]
    with pytest.warns(UserWarning, match=r"\(number, street\)"):
        api(Flat(rent=3).save)


def test_a_key_that_is_set_before_the_save_was_not_forgotten(api: Api) -> None:
    class Late(Model):
        title = KeyField()

        def pre_save(self, **kwargs: Any) -> Any:
            self.title = "set"
            return super().pre_save(**kwargs)

    page = Page(text="a")
    page.title = "set"
    api(page.save)
    api(Late().save)
    assert (page.pk, [each.pk for each in Late.query.all()]) == ("Page:set", ["Late:set"])


def test_a_key_that_must_not_be_null_is_demanded_at_the_first_save(
    api: Api, redis_client: redis.Redis
) -> None:
    with pytest.raises(ValidationError, match=r"Named\.title.*cannot be null"):
        api(Named(text="a").save)
    assert redis_client.keys("*Named*") == []


def test_an_annotation_without_none_means_a_key_that_must_not_be_null(api: Api) -> None:
    nulls = {name: field.null for name, field in Annotated._meta.fields.items()}
    assert nulls == {"title": False, "floor": True, "wing": True, "anything": True}
    with pytest.raises(ModelException, match=r"Annotated\.title.*cannot be null"):
        api(Annotated(floor=1).save)
    api(Annotated(title="a").save)
