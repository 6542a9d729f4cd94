"""What a reader of the manual gave, and what was dropped without a word: each kind once."""

from __future__ import annotations

import datetime
import types
from collections.abc import Callable
from typing import Annotated, Any

import pytest
import redis

import popoto
from popoto import (
    AutoKeyField,
    BM25Field,
    BooleanField,
    BytesField,
    ConfidenceField,
    ContentField,
    ContextAssembler,
    DatetimeField,
    DecayingSortedField,
    EventStreamMixin,
    F,
    Field,
    FloatField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelBase,
    ModelException,
    Q,
    QueryException,
    Relationship,
    SortedField,
    SortedKeyField,
    StringField,
    TimeField,
    UniqueField,
)
from popoto.exceptions import ValidationError
from popoto.recipes import compute_fingerprint

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")


class City(Model):
    name = KeyField()


class Person(Model):
    name = KeyField()
    secret = StringField(default="s")
    age = SortedField(type=int, default=0)
    visits = IntField(default=0)
    seen = DatetimeField(auto_now=True)
    city = Relationship(City)
    place = GeoField()
    text = StringField(null=True)
    words = BM25Field(source="text")


def body(**attributes: Any) -> Any:
    return ModelBase("Box", (Model,), {"name": KeyField(), "__module__": __name__, **attributes})


# Values ------------------------------------------------------------------------------------------


class Kinds(Model):
    key = AutoKeyField()
    wait = IndexedField(type=datetime.timedelta, null=True)
    text = StringField(null=True)
    number = FloatField(null=True)
    raw = BytesField(null=True)
    flag = BooleanField(null=True)
    moment = DatetimeField(null=True)
    hour = TimeField(null=True)


def test_a_duration_of_pandas_is_stored_as_a_duration() -> None:
    Kinds.create(wait=pandas.Timedelta("1s"))
    assert Kinds.query.filter(wait=datetime.timedelta(seconds=1)).count() == 1
    found = Kinds.query.first()
    assert found is not None
    assert found.wait == datetime.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", numpy.arange(2000)),
        ("text", types.MappingProxyType({"a": 1})),
        ("number", numpy.datetime64("2024-01-01", "ns")),
        ("raw", numpy.int64(3)),
        ("raw", numpy.arange(3)),
        ("hour", "1704067200"),
        ("flag", datetime.timedelta(1)),
        ("flag", numpy.timedelta64(1, "s")),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Kinds.create(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("moment", pandas.Timestamp("2024-01-01 10:00:00.123456789")),
        ("moment", "2024-01-01T10:00:00.123456789Z"),
        ("hour", "10:00:00.1234567"),
        ("wait", pandas.Timedelta(5, "ns")),
    ],
)
def test_nanoseconds_are_told_of(name: str, value: object) -> None:
    with pytest.warns(UserWarning, match="stored to the microsecond"):
        Kinds.create(**{name: value})


# Classes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [GeoField, DatetimeField, DecayingSortedField, ContentField, ConfidenceField],
)
def test_a_type_that_a_field_does_not_take_is_told_of(kind: Any) -> None:
    with pytest.warns(UserWarning, match=r"\(type=.*has no effect"):
        kind(type=list)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (KeyField, {"indexed": False}),
        (UniqueField, {"indexed": False}),
        (GeoField, {"indexed": True}),
        (SortedField, {"type": int, "sorted": False}),
        (BM25Field, {"source": "name", "null": False}),
        (DecayingSortedField, {"auto_now": False}),
    ],
)
def test_a_keyword_against_the_nature_of_a_field_is_told_of(kind: Any, options: Any) -> None:
    with pytest.warns(UserWarning, match="has no effect"):
        kind(**options)


def test_fields_in_annotations_are_one_and_made() -> None:
    with pytest.raises(ModelException, match="Annotated has one field"):
        body(__annotations__={"age": Annotated[int, IntField(), SortedField(type=int)]})
    with pytest.raises(ModelException, match="Annotated has one field"):
        body(__annotations__={"age": Annotated[int, SortedField]}, age=3)


def test_constraints_of_others_in_annotations_are_told_of() -> None:
    pydantic = pytest.importorskip("pydantic")
    with pytest.warns(UserWarning, match="nothing reads"):
        body(__annotations__={"age": Annotated[int, pydantic.Field(ge=5)]}, age=7)


def test_a_length_of_a_number_is_told_of() -> None:
    with pytest.warns(UserWarning, match="max_length=3 has no effect"):
        body(__annotations__={"age": int}, age=Field(max_length=3))


def test_two_classes_meta_are_told_of() -> None:
    with pytest.warns(UserWarning, match="two classes Meta"):

        class Twice(Model):
            name = KeyField()

            class Meta:
                ttl = 60

            class Meta:  # type: ignore[no-redef]  # noqa: F811
                ttl_policy = "fixed"


def test_what_is_done_to_a_finished_class_is_told_of() -> None:
    box = body(age=IntField(), text=StringField())
    with pytest.warns(UserWarning, match=r"Box\.Meta = .* has no effect"):
        box.Meta = type("Meta", (), {"ttl": 5})
    for name, value in (("ttl", 60), ("tttl", 60), ("require_partition", "text")):
        with pytest.warns(UserWarning, match=rf"_meta\.{name} = .* has no effect"):
            setattr(box._meta, name, value)
    with pytest.warns(UserWarning, match=r"max_length = 2 comes after its model"):
        box.text.max_length = 2
    with pytest.raises(ModelException, match=r"del Box\.age"):
        del box.age


def test_a_hidden_field_is_not_lost_to_a_value() -> None:
    base = body(_pin=StringField())
    with pytest.raises(ModelException, match="would take the place of the field"):
        ModelBase("Child", (base,), {"_pin": 5, "__module__": __name__})
    with pytest.raises(ModelException, match="take the comma away"):
        body(_pin=(StringField(),))


def test_plain_bases_are_looked_at_too() -> None:
    class Told:
        def pre_sav(self) -> None: ...

    class Wrong:
        age = IntField

    with pytest.warns(UserWarning, match="did you mean 'pre_save'"):
        ModelBase("Child", (Told, Model), {"name": KeyField(), "__module__": __name__})
    with pytest.raises(ModelException, match=r"Wrong\.age.* is no field"):
        ModelBase("Child", (Wrong, Model), {"name": KeyField(), "__module__": __name__})


def test_hooks_of_fields_that_nothing_calls_are_told_of() -> None:
    with pytest.warns(UserWarning, match="did you mean 'format_value_pre_save'"):
        type(StringField)("Own", (StringField,), {"format_value_presave": lambda self: None})
    with pytest.warns(UserWarning, match=r"is_valid\(\) refuses values"):
        type(StringField)("Own", (StringField,), {"validate": lambda self: None})


def test_a_method_of_a_field_that_its_hook_calls_is_none() -> None:
    def hook(self: Any, field_value: Any, **_: Any) -> Any:
        return [self.clean(each) for each in field_value]

    body = {"clean": lambda self, value: value, "format_value_pre_save": hook}
    assert type(StringField)("Own", (StringField,), body)().clean("a") == "a"


def told(fields: Any) -> Any:
    attributes = {"name": KeyField(), "__module__": __name__, "_stream_metadata_fields": fields}
    return ModelBase("Told", (EventStreamMixin, Model), attributes)


def test_what_events_cannot_carry_is_refused() -> None:
    with pytest.raises(ModelException, match="must be a tuple"):
        told(name for name in ("name",))


# Records -----------------------------------------------------------------------------------------


def test_a_key_that_a_save_fills_in_is_the_key() -> None:
    class Log(Model):
        at = SortedKeyField(type=datetime.datetime, auto_now_add=True)

    first, second = Log.create(), Log.create()
    assert first.pk != second.pk
    assert str(first.at.year) in first.pk
    assert Log.query.get(at=first.at) == first


def test_an_expiry_is_never_dropped() -> None:
    Person.create(name="ann")
    assert Person.update_or_create(name="ann", ttl=60)[0].remaining_ttl() is not None
    ann = Person.query.get(name="ann")
    assert ann is not None
    with pytest.raises(ModelException, match="renew_ttl"):
        ann.save(update_fields=[], ttl=60)

    with pytest.raises(ModelException, match="renew_ttl"):
        popoto.transaction().save(ann, update_fields=[], ttl=60)
    with pytest.raises(ModelException, match="nope"):
        ann.save(update_fields=["nope"], ttl=60)
    ann.save(update_fields=["visits"], ttl=1000)
    assert (ann.remaining_ttl() or 0) > 500
    ann.save(ttl=60)
    assert ann.save(update_fields=[]) == 0  # what was asked for before has been answered


class Counted(Model):
    name = KeyField()
    visits = IntField(default=0)


@pytest.mark.parametrize("model", [Person, Counted])
def test_a_number_that_is_added_in_bulk_is_shown(model: Any) -> None:
    """Whether the server adds to it or, where other things follow from it, the client."""
    ann = model.create(name="ann")
    ann.visits = F("visits") + 1
    model.bulk_create([ann])
    assert ann.visits == 1


@pytest.mark.single_server("counts what one server sends")
def test_sums_that_nobody_sees_are_not_sent(redis_client: redis.Redis) -> None:
    Counted.bulk_create([Counted(name=f"n{number}") for number in range(500)])

    def sent(update: Callable[[], object]) -> int:
        before = redis_client.info("stats")["total_net_output_bytes"]
        assert update() == 500
        return int(redis_client.info("stats")["total_net_output_bytes"] - before)

    everyone = Counted.query.all()
    set_anew = sent(lambda: Counted.query.update(visits=1))
    added = sent(lambda: Counted.query.update(visits=F("visits") + 1))
    assert added < set_anew + 1000
    assert sent(lambda: Counted.bulk_update(everyone, visits=F("visits") + 1)) > 1000
    assert {each.visits for each in everyone} == {3}


def test_a_moment_that_every_save_sets_is_told_of() -> None:
    Person.create(name="ann")
    with pytest.warns(UserWarning, match=r"Person\.seen = .* has no effect"):
        Person.query.update(seen=datetime.datetime(2000, 1, 1))


def test_a_field_may_stand_for_its_name_in_a_dict() -> None:
    assert "secret" not in Person(name="ann").to_dict(exclude=[Person.secret])  # type: ignore[list-item]
    with pytest.warns(UserWarning, match="max_depth"):
        Person(name="ann").to_dict(max_depth=1)


def test_the_key_of_a_related_record_under_djangos_name_is_told_of() -> None:
    ann = Person.create(name="ann")
    ann.city_id = "City:rome"
    with pytest.warns(UserWarning, match="did you mean 'city'"):
        ann.save()


def test_errors_that_a_check_returns_are_told_of() -> None:
    box = body(is_valid=lambda self, null_check=True: ["name is too short"])
    with pytest.warns(UserWarning, match=r"is_valid\(\) returns"):
        box(name="a").save()


# Queries -----------------------------------------------------------------------------------------


def test_an_order_in_python_decides_about_keys() -> None:
    for number, name in enumerate("abc"):
        Person.create(name=name, age=number)
    last = Person.query.computed_sort(lambda each: -each.age).limit(1)
    assert last.keys() == [b"Person:c"]


def test_names_are_looked_at_whatever_is_asked_for() -> None:
    with pytest.raises(QueryException, match="'nope'"):
        Person.query.only("nope").delete()
    with pytest.raises(QueryException, match="'nope'"):
        Person.query.select_related("city__nope").all()

    class Town(City):
        mayor = Relationship(Person)

    ann = Person.create(name="ann")
    Person.create(name="bob", city=Town.create(name="t", mayor=ann))
    (bob,) = Person.query.filter(name="bob").select_related("city__mayor")
    assert bob.city.mayor.name == "ann"
    with pytest.raises(QueryException, match=r"\bCity\b"):
        Person.query.select_related("city__nope").all()
    with pytest.raises(TypeError, match="select_related"):
        Person.query.select_related("city").values("name")


def test_distances_that_nothing_has_are_told_of() -> None:
    near = {"place": (1, 2), "place_radius": 5, "place_with_distances": True}
    with pytest.warns(UserWarning, match="distances"):
        Person.query.exclude(**near).all()
    with pytest.warns(UserWarning, match="distances"):
        Person.query.filter(Q(**near) | Q(name="ann")).all()


@pytest.mark.parametrize("flag", ["no", 1.5, object(), Person, -1])
def test_a_flag_is_a_flag(flag: Any) -> None:
    with pytest.raises(TypeError):
        Person(name="ann").save(skip_auto_now=flag)
    with pytest.raises(TypeError):
        Person.query.keys(catchall=flag)
    with pytest.raises(TypeError):
        ContextAssembler(Person, {"age": 1.0}, strict_budget=flag)
    with pytest.raises(TypeError):
        compute_fingerprint({}, include_timestamp=flag)
    with pytest.raises(QueryException):
        Person.query.filter(place=(1, 2), place_with_distances=flag).all()


def test_settings_of_an_assembler_that_need_another_are_told_of() -> None:
    with pytest.warns(UserWarning, match="max_tokens"):
        ContextAssembler(Person, {"age": 1.0}, strict_budget=True)
    with pytest.warns(UserWarning, match="confidence_gate_threshold"):
        ContextAssembler(Person, {"age": 1.0}, confidence_gate_mode="flag")


def test_a_number_of_results_is_whole() -> None:
    with pytest.raises(TypeError, match="must be an int"):
        Person.query.keyword_search("anything", limit=2.7)  # type: ignore[arg-type]


def test_a_text_that_is_elsewhere_has_no_order() -> None:
    class Page(Model):
        name = KeyField()
        body = ContentField()

    with pytest.raises(QueryException, match="cannot be ordered by"):
        Page.query.order_by("body").all()
