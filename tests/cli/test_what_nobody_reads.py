"""What a line, a file or a command says and nobody would read is told of, and never dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import DatetimeField, DictField, FloatField, IndexedField, KeyField, Model
from popoto.cli import main
from tests.cli.running import imported
from tests.driver import expires_fields

HERE = "tests.cli.test_what_nobody_reads"


class Parcel(Model):
    name = KeyField()
    weight = FloatField(null=True)
    sent = DatetimeField(null=True)
    labels = DictField(null=True)


class Sender(Model):
    number = KeyField()
    name = IndexedField()

    class Meta:
        subject = "name"


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def line(**fields: Any) -> str:
    return json.dumps({"model": "Parcel", "fields": {"name": "a", **fields}})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"model": "Parcel", "fields": {"name": "a"}, "expire": "2999-01-01"}', "'expires'"),
        ('{"model": "Parcel", "fields": {"name": "a"}, "ttl": 60}', "entries are model, key"),
        ('{"model": "Parcel", "fields": {"name": "a"}, "fields": {}}', "names 'fields' twice"),
        ('{"model": "Parcel", "fields": {"name": "a", "name": "b"}}', "names 'name' twice"),
        ('{"model": "Parcel", "fields": {"name": "a", "weight": 1e999}}', "no float holds 1e999"),
        ('{"model": "Parcel", "fields": {"name": "a"}, "beside": {"trust": 1}}', "keeps nothing"),
        (line(labels={"a": {"$decimal": "1", "unit": "kg"}}), "'unit' beside '$decimal'"),
        (line(sent={"$datetime": "2026-01-01", "zome": "UTC"}), "'zome' beside '$datetime'"),
        (line(sent={"$datetime": "2026-01-01", "fold": "1"}), "fold is 0 or 1"),
        (line(weight={"$float": "1e999"}), "no float holds 1e999"),
        (line(labels={"$dict": [["a", 1], ["a", 2]]}), "a key is there twice"),
    ],
)
def test_a_line_that_says_more_than_is_read_is_refused(
    text: str,
    told: str,
    tmp_path: Path,
    redis_client: redis.Redis,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert imported(written(tmp_path / "lines", text), HERE) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("line 1: ")
    assert told in complaint
    assert redis_client.keys("*") == []


def test_infinities_and_empty_entries_are_taken(tmp_path: Path) -> None:
    text = line(weight={"$float": "-inf"}, sent={"$datetime": "2026-01-01", "fold": 1})
    text = text[:-1] + ', "key": "Parcel:a", "beside": {}, "expires": null, "fields_expire": null}'
    assert imported(written(tmp_path / "lines", text), HERE) == 0
    assert Parcel.query.get(name="a").weight == float("-inf")


def test_a_key_that_the_fields_do_not_make_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({"model": "Parcel", "key": f"Parcel:{key}", "fields": {"name": name}})
        for key, name in (("a", "a"), ("x", "b"), ("y", "c"))
    ]
    assert imported(written(tmp_path / "lines", *lines), HERE) == 0
    out, told = capsys.readouterr()
    assert told == (
        "line 2: it names the key 'Parcel:x', but its fields make 'Parcel:b', which counts\n"
    )
    assert "stored 3 records; 2 under other keys" in out


def test_values_of_fields_that_are_over_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], redis_client: redis.Redis
) -> None:
    if not expires_fields(redis_client):
        pytest.skip("this server cannot let fields expire")
    ends = {"weight": "2020-01-01T00:00:00+00:00", "labels": "2999-01-01T00:00:00+00:00"}
    text = line(weight=1, labels={"a": 1})[:-1] + f', "fields_expire": {json.dumps(ends)}}}'
    assert imported(written(tmp_path / "lines", text), HERE) == 0
    assert "1 values of single fields left out" in capsys.readouterr().out
    assert Parcel.query.get(name="a").weight is None


def test_a_file_with_a_record_twice_is_no_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Parcel.create(name="a")
    path = tmp_path / "lines"
    assert main(["export", HERE, "-q", "-o", str(path)]) == 0
    path.write_text(path.read_text() * 2)
    assert main(["verify", f"{HERE}:Parcel", "--against", str(path)]) == 2
    assert "line 2 is 'Parcel:a' once more" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["export", HERE, "-o", "{here}/one", "-o", "{here}/two"],
        ["export", HERE, "--output", "{here}/one", "-o", "{here}/two"],
        ["import", HERE, "{here}/none", "--existing", "skip", "--existing", "replace"],
        ["models", HERE, "--url", "embedded://", "--url", "redis://"],
        ["indexes", "check", HERE, "--batch-size", "5", "--batch-size", "1000"],
        ["shell", "-c", "1", "-c", "2"],
    ],
)
def test_an_option_that_is_given_twice_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word.format(here=tmp_path) for word in words])
    assert ended.value.code == 2
    assert "given twice" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["scripts"], ["scripts", "--load"], ["models", HERE, "--schema"]]
)
def test_a_url_that_is_wrong_is_told_where_no_server_is_asked(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--url", "nonsense"]) == 2
    assert "A connection URL starts with" in capsys.readouterr().err


def test_models_of_which_nothing_is_erased_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    Sender.create(number="1", name="ann")
    assert main(["erase", HERE, "ann", "--yes"]) == 0
    assert "no Meta.subject says whose their records are: Parcel" in capsys.readouterr().err
    assert Sender.query.count() == 0
