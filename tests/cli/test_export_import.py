"""What is exported and imported again is what was stored, to the byte."""

from __future__ import annotations

import gzip
import json
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pandas
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

import popoto
from popoto.cli import main
from popoto.cli.jsonlines import BadJson, dump, json_of, load, value_of
from tests.cli.running import ZOO, exported, imported, in_process
from tests.cli.zoo import Beast, Keeper, Shade, Ticket
from tests.driver import expires_fields

HOSTILE = [
    "",
    " ",
    "None",
    "a:b*c?[d]^-/'{}\\",
    "{&#58;}",
    "line\nend\r\u2028\u2029\u0085",
    "\0\x1b[31m\x7f",
    '"quoted", {"$decimal": "1"}',
    "ß → 漢字 🦊 \ufffe",
    "$Class:Beast",
]

BERLIN = ZoneInfo("Europe/Berlin")


def beast(name: str = "b", **values: Any) -> Beast:
    defaults: dict[str, Any] = {
        "born": date(2020, 2, 29),
        "species": f"s-{name}",
        "chip": f"c-{name}",
        "weight": 1.0,
        "price": Decimal("1.10"),
        "seen": datetime(2026, 1, 1),
    }
    return Beast(name=name, **(defaults | values))


def state(client: redis.Redis) -> dict[bytes, Any]:
    """Everything that is on the server."""
    found: dict[bytes, Any] = {}
    for key in client.keys("*"):
        kind = client.type(key)
        found[key] = {
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"list": lambda key: client.lrange(key, 0, -1),
        }[kind](key)
    return found


def survives(path: Path, client: redis.Redis, models: str = ZOO) -> None:
    """Export, empty the server, import: the same keys with the same bytes, and the same file."""
    before, text = state(client), exported(path, models)
    client.flushall()
    assert imported(path, models) == 0
    assert state(client) == before
    assert exported(path.with_suffix(".again"), models) == text


VALUES: dict[str, list[Any]] = {
    "whole": [0, -1, 2**63, -(2**63), 2**64 - 1, True, None],
    "real": [0.1, -0.0, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"), 3.0, None],
    "exact": [Decimal("0.10"), Decimal("1E+400"), Decimal("-0"), Decimal("NaN"), None],
    "text": [*HOSTILE, None],
    "flag": [True, False, None],
    "raw": [b"", b"\0\xff\n", bytes(range(256)), None],
    "items": [
        [],
        [1, "1", 1.0, None, True, b"\xff", [[]], {"a": (1,)}],
        [Decimal("9.90"), {1, 2}, date(1, 1, 1), float("nan")],
        None,
    ],
    "mapping": [
        {},
        {"a": {"b": [1]}},
        {"$decimal": "1"},
        {"$": 1, "x": 2},
        {"x": 1, "$set": []},
        {1: "a", (2, 3): "b", b"k": None, None: 0},
        {"__Decimal__": True, "as_encodable": "1"},
        None,
    ],
    "members": [set(), {1, "1", b"1"}, {(1, 2), "x"}, {datetime(2020, 1, 1)}, None],
    "pair": [(), (1, (2, [3])), (None, Decimal("1.0")), None],
    "clock": [
        clock_time(0),
        clock_time(23, 59, 59, 999999),
        clock_time(1, tzinfo=timezone(timedelta(hours=-3))),
        clock_time(2, tzinfo=BERLIN),
        clock_time(3, fold=1),
        None,
    ],
    "day": [date(1, 1, 1), date(9999, 12, 31), None],
    "moment": [
        datetime(1, 1, 1),
        datetime(1969, 12, 31, 23, 59, 59, 1),
        datetime(2026, 6, 1, tzinfo=UTC),
        datetime(2026, 6, 1, tzinfo=timezone(timedelta(hours=5, minutes=45, seconds=1))),
        datetime(2026, 6, 1, 12, tzinfo=BERLIN),
        datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        None,
    ],
    "weight": [0.0, -1.5, 1e300],
    "price": [Decimal("0.1000000000000000000001"), Decimal(-7)],
    "seen": [datetime(1960, 1, 1), datetime(2026, 1, 1, 1, 1, 1, 123456)],
    "place": [(0, 0), (52.5163, 13.3777), (-85, 180), None],
    "meals": [[], [1], ["a", (1, 2), {"x": {3}}, None]],
    "_secret": [*HOSTILE, None],
    "tag": [None, *HOSTILE[:3]],
    "shade": [None, *Shade],
    "other_id": [None, UUID(int=0), UUID(int=2**128 - 1)],
    "naps": [None, timedelta.min, timedelta.max, timedelta(microseconds=1)],
}


@pytest.mark.parametrize("field", VALUES)
def test_a_field_of_each_type_keeps_its_values(
    field: str, tmp_path: Path, redis_client: redis.Redis
) -> None:
    for number, value in enumerate(VALUES[field]):
        beast(f"n{number}", **{field: value}).save()
    survives(tmp_path / "zoo.jsonl", redis_client)


def test_values_come_back_as_equal_objects(tmp_path: Path, redis_client: redis.Redis) -> None:
    moment = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    beast("x", moment=moment, pair=(1, (2,)), members={(1,)}, exact="1.50", _secret="s").save()
    text = exported(tmp_path / "x.jsonl")
    redis_client.flushall()
    assert imported(tmp_path / "x.jsonl") == 0
    back = Beast.query.filter(name="x")[0]
    assert (back.moment, back.moment.fold, back.moment.tzinfo) == (moment, 1, BERLIN)
    assert (back.pair, back.members, str(back.exact)) == ((1, (2,)), {(1,)}, "1.50")
    assert back._secret == "s"
    assert len(text.splitlines()) == 1


def test_frames_keep_their_types(tmp_path: Path, redis_client: redis.Redis) -> None:
    frame = pandas.DataFrame(
        {"when": pandas.to_datetime(["2026-01-01", None]), "n": pandas.array([1, None], "Int64")},
        index=["a", "b\n"],
    )
    beast("f", ledger=frame).save()
    survives(tmp_path / "zoo.jsonl", redis_client)
    pandas.testing.assert_frame_equal(Beast.query.filter(name="f")[0].ledger, frame)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_keys_and_indexes(
    text: str, tmp_path: Path, redis_client: redis.Redis
) -> None:
    beast(text, species=text, chip=text, text=text).save()
    survives(tmp_path / "zoo.jsonl", redis_client)
    assert Beast.query.filter(chip=text)[0].name == text


def test_relationships_stay_also_without_their_target(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    keeper = Keeper.create(badge=7, name="Ann")
    beast("kept", keeper=keeper).save()
    gone = Keeper.create(badge=8)
    beast("orphan", keeper=gone).save()
    gone.delete()
    survives(tmp_path / "zoo.jsonl", redis_client)
    assert [each.name for each in Beast.query.filter(keeper=keeper)] == ["kept"]


def test_timestamps_of_saves_are_kept(tmp_path: Path, redis_client: redis.Redis) -> None:
    beast().save()
    before = Beast.query.filter()[0]
    survives(tmp_path / "zoo.jsonl", redis_client)
    after = Beast.query.filter()[0]
    assert (after.made, after.changed) == (before.made, before.changed)


def test_generated_keys_are_kept(tmp_path: Path, redis_client: redis.Redis) -> None:
    made = Ticket.create(rank=3, _ttl=None)
    survives(tmp_path / "zoo.jsonl", redis_client)
    assert Ticket.query.get(number=made.number, rank=3) is not None


def test_records_expire_when_they_would_have(tmp_path: Path, redis_client: redis.Redis) -> None:
    short, permanent = Ticket.create(rank=1), Ticket.create(rank=2, _ttl=None)
    before = redis_client.pexpiretime(short.pk)
    exported(tmp_path / "t.jsonl")
    redis_client.flushall()
    time.sleep(0.01)
    assert imported(tmp_path / "t.jsonl") == 0
    assert 0 <= redis_client.pexpiretime(short.pk) - before < 1000
    assert redis_client.ttl(permanent.pk) == -1
    assert Ticket.check_indexes()["total"] == 0


def test_a_server_that_cannot_let_fields_expire_keeps_them_and_says_so(
    tmp_path: Path, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"model": "Ticket", "fields": {"number": "a" * 32, "rank": 1, "note": "x"}}
    line["fields_expire"] = {"note": "2999-01-01T00:00:00+00:00"}
    (tmp_path / "k.jsonl").write_text(json.dumps(line))
    can = expires_fields(redis_client)
    assert imported(tmp_path / "k.jsonl") == (0 if can else 1)
    assert ("takes Redis 7.4 or Valkey 9" in capsys.readouterr().err) == (not can)
    assert Ticket.query.get(rank=1).note == "x"


def test_single_fields_expire_when_they_would_have(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    ticket = Ticket.create(rank=1, note="soon gone", _ttl=None)
    if not expires_fields(redis_client):
        pytest.skip("the server has no expiry of single fields")
    ticket.expire_field("note", 100)
    (before,) = redis_client.hpexpiretime(ticket.pk, "note")
    exported(tmp_path / "t.jsonl")
    redis_client.flushall()
    assert imported(tmp_path / "t.jsonl") == 0
    assert redis_client.hpexpiretime(ticket.pk, "note") == [before]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rank", "Ticket.rank is part of the key or of an index"),
        ("number", "Ticket.number is part of the key or of an index"),
    ],
)
def test_fields_that_cannot_expire_alone_are_a_problem_of_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    """As `expire_field` refuses them."""
    good = {"model": "Ticket", "fields": {"number": "a" * 32, "rank": 1}}
    bad = {"model": "Ticket", "fields": {"number": "b" * 32, "rank": 2}}
    bad["fields_expire"] = {name: "2999-01-01T00:00:00+00:00"}
    (tmp_path / "t.jsonl").write_text(f"{json.dumps(bad)}\n{json.dumps(good)}\n")
    assert imported(tmp_path / "t.jsonl") == 1
    told = capsys.readouterr().err
    assert f"line 1: {words}" in told
    assert [each.rank for each in Ticket.query.all()] == [1]


def test_records_that_have_expired_meanwhile_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past = {"fields": {"number": "a" * 32, "rank": 1}, "expires": "2020-01-01T00:00:00+00:00"}
    (tmp_path / "t.jsonl").write_text(json.dumps({"model": "Ticket"} | past))
    assert imported(tmp_path / "t.jsonl") == 0
    assert "1 left out, since they have expired" in capsys.readouterr().out
    assert Ticket.query.count() == 0


# Records that exist ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("existing", "code", "name"), [("refuse", 1, "new"), ("skip", 0, "new"), ("replace", 0, "old")]
)
def test_records_that_exist(
    existing: str, code: int, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = Keeper.create(badge=1, name="old")
    exported(tmp_path / "k.jsonl")
    keeper.name = "new"
    keeper.save()
    assert imported(tmp_path / "k.jsonl", ZOO, "--existing", existing) == code
    assert Keeper.query.get(badge=1).name == name
    assert Keeper.query.count(name="old") == (name == "old")
    assert ("line 1: 'Keeper:1' is stored already" in capsys.readouterr().err) == (code == 1)


# Bad input ---------------------------------------------------------------------------------

BAD_LINES = {
    "no JSON": "{",
    "a line is an object": "[1]",
    "as popoto export writes it, and this one has 'badge', 'age'": '{"badge": 1, "age": 2}',
    "no record of the models": '{"model": "Other", "fields": {}}',
    '"fields" is missing': '{"model": "Keeper"}',
    "has no field 'wings'": '{"model": "Keeper", "fields": {"badge": 2, "wings": 2}}',
    "no tag that popoto writes": '{"model": "Keeper", "fields": {"badge": {"$eval": "1"}}}',
    "cannot be read": '{"model": "Keeper", "fields": {"badge": {"$date": "x"}}}',
    "NaN is no JSON number": '{"model": "Keeper", "fields": {"badge": NaN}}',
    "Could not instantiate": '{"model": "Keeper", "fields": {"badge": "many"}}',
    "cannot be null": '{"model": "Keeper", "fields": {"badge": null}}',
    "not one msgpack value": '{"model": "Keeper", "fields": {"badge": {"$stored": "wQ=="}}}',
    "is no moment": '{"model": "Keeper", "fields": {"badge": 3}, "expires": "soon"}',
    "must be unique": '{"model": "Beast", "fields": {"name": "y", "born": {"$date": "2020-01-01"}, '
    '"chip": "c-x", "species": "z", "weight": 1, "price": 1, "seen": '
    '{"$datetime": "2020-01-01"}}}',
}


@pytest.mark.parametrize("problem", BAD_LINES)
def test_bad_lines_are_reported_and_the_others_stored(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beast("x").save()
    good = '{"model": "Keeper", "fields": {"badge": 1}}'
    (tmp_path / "in.jsonl").write_text(f"\n{good}\n{BAD_LINES[problem]}\n")
    assert imported(tmp_path / "in.jsonl") == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("line 3: ")
    assert problem in complaint
    assert Keeper.query.get(badge=1) is not None
    assert (Keeper.query.count(), Beast.query.count()) == (1, 1)


def test_plain_json_is_taken_where_a_field_takes_it(tmp_path: Path) -> None:
    line = {"name": "p", "born": {"$date": "2020-01-01"}, "species": "s", "chip": "1"}
    line |= {"weight": 3, "price": "9.90", "seen": {"$datetime": "2020-01-01"}, "place": [1, 2]}
    (tmp_path / "in.jsonl").write_text(json.dumps({"model": "Beast", "fields": line}))
    assert imported(tmp_path / "in.jsonl") == 0
    found = Beast.query.filter(chip="1")[0]
    assert (found.weight, found.price, found.place.longitude) == (3.0, Decimal("9.90"), 2.0)


def test_unreadable_bytes_are_exported_as_they_are_and_told(
    tmp_path: Path, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    beast("x", text="fine").save()
    redis_client.hset(beast("x").pk, "whole", b"\xc1")
    assert imported(tmp_path / "none") == 2
    assert main(["export", ZOO, "-o", str(tmp_path / "zoo.jsonl")]) == 1
    assert "whole cannot be read" in capsys.readouterr().err
    (line,) = map(json.loads, (tmp_path / "zoo.jsonl").read_text().splitlines())
    assert line["fields"]["whole"] == {"$stored": "wQ=="}
    assert line["fields"]["text"] == "fine"


# Files and pipes ---------------------------------------------------------------------------


def test_compressed_files(tmp_path: Path, redis_client: redis.Redis) -> None:
    Keeper.create(badge=1, name="é\n")
    path = tmp_path / "zoo.jsonl.gz"
    assert main(["export", ZOO, "-o", str(path)]) == 0
    assert json.loads(gzip.decompress(path.read_bytes()))["key"] == "Keeper:1"
    redis_client.flushall()
    assert imported(path) == 0
    assert Keeper.query.get(badge=1).name == "é\n"
    path.write_bytes(path.read_bytes()[:-9])
    assert imported(path, ZOO, "--existing", "skip") == 2


def test_one_process_may_feed_another(server_url: str, redis_client: redis.Redis) -> None:
    Keeper.bulk_create(Keeper(badge=number, name="ü\u2028") for number in range(30))
    export = in_process("export", f"{ZOO}:Keeper", "--batch-size", "7", server_url=server_url)
    assert (export.returncode, export.stdout.count(b"\n")) == (0, 30)
    redis_client.flushall()
    back = in_process(
        "import", ZOO, "--batch-size", "7", server_url=server_url, stdin=export.stdout
    )
    assert (back.returncode, back.stdout) == (0, b"stored 30 records\n")
    assert Keeper.query.count(name="ü\u2028") == 30


def test_a_file_is_complete_or_untouched(tmp_path: Path, redis_client: redis.Redis) -> None:
    path = tmp_path / "k.jsonl"
    path.write_text("as it was")
    Keeper.create(badge=1)
    assert main(["export", ZOO, "-o", str(path), "--url", "redis://127.0.0.1:1/0"]) == 3
    assert path.read_text() == "as it was"
    assert [each.name for each in tmp_path.iterdir()] == ["k.jsonl"]


def test_mixed_lines_and_small_batches(tmp_path: Path) -> None:
    lines = []
    for number in range(25):
        lines.append({"model": "Keeper", "fields": {"badge": number}})
        lines.append({"model": "Ticket", "fields": {"number": f"{number:032}", "rank": number}})
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert imported(tmp_path / "m.jsonl", ZOO, "--batch-size", "4") == 0
    assert (Keeper.query.count(), Ticket.query.count()) == (25, 25)


def test_a_model_whose_own_order_needs_all_values_is_read_by_key(
    tmp_path: Path, redis_client: redis.Redis
) -> None:
    for number in range(12):
        beast(f"n{number:02}", text=str(100 - number)).save()
    lines = exported(tmp_path / "b.jsonl", f"{ZOO}:Beast", "--batch-size", "5").splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert keys == sorted(keys)
    assert len(keys) == 12


# The form of values ------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times(timezones=st.none() | st.just(UTC))
)
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner), max_leaves=4)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | hashable | st.sampled_from(["$decimal", "$", "$dict"]), inner)
        | st.sets(hashable)
    ),
    max_leaves=12,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_every_value_has_a_form_in_json_that_gives_it_back(value: object) -> None:
    line = dump(json_of(value))
    assert "\n" not in line
    back = value_of(load(line))
    assert back == value
    assert type(back) is type(value)


tags = st.sampled_from(["$date", "$time", "$set", "$dict", "$datetime", "$float", "$bytes"])
any_json = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | tags, inner),
)


@given(any_json)
@settings(max_examples=100, deadline=None)
def test_whatever_json_says_it_gives_a_value_or_the_one_error(found: object) -> None:
    with suppress(BadJson):
        value_of(found)


def test_every_field_class_is_in_these_tests() -> None:
    covered = {
        type(field).__name__
        for model in (Beast, Keeper, Ticket)
        for field in model._meta.fields.values()
    }
    plain = {
        name
        for name in popoto.__all__
        if isinstance(value := getattr(popoto, name), type)
        and issubclass(value, popoto.Field)
        and value.__module__.startswith(("popoto.fields.shortcuts", "popoto.fields.geo_field"))
    }
    assert plain <= covered
