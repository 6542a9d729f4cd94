"""Dates and times: text of JSON and CSV is taken for what it says, and nothing loses its time."""

from __future__ import annotations

import csv
import datetime
import io
import json
from typing import Any

import pytest

from popoto import (
    DateField,
    DatetimeField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    SortedKeyField,
    TimeField,
)
from popoto.exceptions import QueryException, ValidationError
from tests.driver import Api

DAY = datetime.date(2024, 5, 1)
NOON = datetime.datetime(2024, 5, 1, 12)
UTC_NOON = NOON.replace(tzinfo=datetime.UTC)


class Visit(Model):
    name = KeyField()
    day = DateField()
    at = DatetimeField()
    hour = TimeField()
    sorted_day = SortedField(type=datetime.date, default=DAY)
    sorted_at = SortedField(type=datetime.datetime, default=NOON)
    indexed_day = IndexedField(type=datetime.date)


class Diary(Model):
    day = SortedKeyField(type=datetime.date)
    kind = KeyField(type=datetime.date)


VALUES: dict[str, Any] = {
    "day": DAY,
    "at": UTC_NOON,
    "hour": datetime.time(9, 30),
    "sorted_day": DAY,
    "sorted_at": NOON,
    "indexed_day": DAY,
}
TEXTS = {name: value.isoformat() for name, value in VALUES.items()}


@pytest.mark.parametrize("source", ["json", "csv"])
def test_iso_text_is_taken_for_what_it_says(api: Api, source: str) -> None:
    if source == "json":
        row = json.loads(json.dumps({"name": "a", **TEXTS}))
    else:
        file = io.StringIO()
        writer = csv.DictWriter(file, ["name", *TEXTS])
        writer.writeheader()
        writer.writerow({"name": "a", **TEXTS})
        (row,) = csv.DictReader(io.StringIO(file.getvalue()))
    visit = api(Visit.create, **row)
    for each in (visit, api(Visit.query.get, name="a")):
        assert {name: getattr(each, name) for name in VALUES} == VALUES
        assert {name: type(getattr(each, name)) for name in VALUES} == {
            name: type(value) for name, value in VALUES.items()
        }


@pytest.mark.parametrize("name", TEXTS)
def test_conditions_take_the_same_text(api: Api, name: str) -> None:
    api(Visit.create, name="a", **VALUES)
    assert api(Visit.query.count, **{name: TEXTS[name]}) == 1
    assert api(Visit.query.count, **{name: VALUES[name]}) == 1
    if name.startswith("sorted"):
        assert api(Visit.query.count, **{f"{name}__gte": TEXTS[name]}) == 1
        assert api(Visit.query.count, **{f"{name}__lt": TEXTS[name]}) == 0


def test_keys_take_it_too(api: Api) -> None:
    diary = api(Diary.create, day="2024-05-01", kind=datetime.datetime(2024, 5, 1))
    assert (diary.day, diary.kind) == (DAY, DAY)
    assert api(Diary.query.get, day=DAY, kind="2024-05-01").day == DAY


@pytest.mark.parametrize("name", ["day", "sorted_day", "indexed_day"])
@pytest.mark.parametrize(
    "value", [NOON, UTC_NOON, UTC_NOON.replace(hour=0), NOON.isoformat(), "2024-05-01T00:00Z"]
)
def test_a_date_field_refuses_what_would_lose_its_time(api: Api, name: str, value: Any) -> None:
    with pytest.raises(ModelException, match="its time would be lost"):
        Visit(name="a", **{name: value})
    visit = api(Visit.create, name="a", **VALUES)
    setattr(visit, name, value)
    with pytest.raises(ValidationError, match=name):
        api(visit.save)
    with pytest.raises(ValidationError, match=name):
        api(visit.save, update_fields=[name])
    with pytest.raises(ValidationError, match=name):
        api(Visit.bulk_update, [visit], **{name: value})
    if not (name == "sorted_day" and isinstance(value, datetime.datetime)):
        with pytest.raises(QueryException, match="its time would be lost"):
            api(Visit.query.filter(**{name: value}).all)
    assert getattr(api(Visit.query.get, name="a"), name) == DAY


@pytest.mark.parametrize("moment", [NOON, UTC_NOON, UTC_NOON.replace(hour=0)])
def test_in_conditions_on_sorted_dates_a_moment_means_its_day(
    api: Api, moment: datetime.datetime
) -> None:
    day = datetime.timedelta(days=1)
    for number in range(3):
        api(Visit.create, name=str(number), sorted_day=DAY + (number - 1) * day)
        api(Diary.create, day=DAY + (number - 1) * day, kind=DAY)
    for lookup, operand, found in [
        ("", moment, "1"),
        ("__ne", moment, "02"),
        ("__in", [moment, moment + day], "12"),
        ("__gt", moment, "2"),
        ("__gte", moment, "12"),
        ("__lt", moment, "0"),
        ("__lte", moment, "01"),
        ("__between", (moment - day, moment), "01"),
    ]:
        visits = api(Visit.query.filter(**{f"sorted_day{lookup}": operand}).all)
        assert sorted(visit.name for visit in visits) == list(found), lookup
        assert api(Diary.query.count, **{f"day{lookup}": operand}) == len(found)
    assert api(Diary.query.get, day=moment, kind=DAY).day == DAY


def test_no_point_in_time_is_on_no_day(api: Api) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(QueryException, match="no point in time"):
        api(Visit.query.count, sorted_day__lt=pandas.NaT)


@pytest.mark.parametrize("name", ["day", "sorted_day", "indexed_day"])
def test_midnight_is_a_date(api: Api, name: str) -> None:
    midnight = datetime.datetime(2024, 5, 1)
    visit = api(Visit.create, name="a", **{name: midnight})
    assert type(getattr(visit, name)) is datetime.date
    assert getattr(api(Visit.query.get, name="a"), name) == DAY
    assert api(Visit.query.count, **{name: midnight}) == 1
    setattr(visit, name, midnight)
    api(visit.save)
    assert getattr(visit, name) == DAY


@pytest.mark.parametrize(
    ("name", "value"),
    [("day", "May 1st"), ("at", "soon"), ("hour", "noon"), ("at", ""), ("sorted_at", "2024-13-01")],
)
def test_text_that_says_no_moment_is_refused(api: Api, name: str, value: str) -> None:
    with pytest.raises(ModelException, match=name):
        api(Visit.create, name="a", **{name: value})
    with pytest.raises(QueryException, match=name):
        api(Visit.query.filter(**{name: value}).all)
