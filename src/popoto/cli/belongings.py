"""What records have beside their values, as lines of an export say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from popoto.cli.expiries import moment_of, text_of_moment
from popoto.cli.jsonlines import BadJson, Json, json_of, value_of
from popoto.engine.batch import Batch
from popoto.models.beside.belongings import Belongings, OwnKey, carried, own_keys, put_own_key
from popoto.models.record.options import ModelOptions


def json_of_belongings(told: Belongings) -> Json:
    """The JSON of what one record has."""
    return {
        name: _json_of_key(value) if isinstance(value, OwnKey) else json_of(value)
        for name, value in told.items()
    }


def _json_of_key(found: OwnKey) -> Json:
    line: dict[str, Json] = {found.kind: json_of(_as_text(found.parts))}
    if found.ends:
        line["expires"] = text_of_moment(found.ends)
    return line


def _as_text(part: Any) -> Any:
    """Bytes as text where they are one."""
    if isinstance(part, (list, tuple)):
        return [_as_text(each) for each in cast("Sequence[Any]", part)]
    try:
        return part.decode("utf-8") if isinstance(part, bytes) else part
    except UnicodeDecodeError:
        return part


def belongings_of(options: ModelOptions, found: Json, values: Mapping[str, Any]) -> Belongings:
    """What the JSON says that a record with these values has. Raises BadJson."""
    if not isinstance(found, dict):
        raise BadJson('"beside" is no object')
    placeholder = options.model_name
    entries = carried(options, placeholder, values)
    own = own_keys(options, placeholder)
    told: dict[str, Any] = {}
    for name, value in cast("dict[str, Json]", found).items():
        try:
            if name in entries:
                told[name] = value_of(value)
                entries[name].restore(Batch(), told[name])
            elif name in own:
                told[name] = _key_of(value)
                put_own_key(Batch(), placeholder, told[name])
            else:
                known = ", ".join((*entries, *own)) or "nothing"
                raise BadJson(f"{options.model_name} keeps {known} beside such a record")
        except ValueError as error:
            raise BadJson(f"beside the record, {name!r} cannot be read: {error}") from error
    return told


def _key_of(found: Json) -> OwnKey:
    if not isinstance(found, dict):
        raise BadJson("it is no object")
    kinds = dict(cast("dict[str, Json]", found))
    moment = moment_of(kinds.pop("expires", None))
    if len(kinds) != 1:
        raise BadJson("it is an object with one list of parts")
    ((kind, parts),) = kinds.items()
    value = value_of(parts)
    if not isinstance(value, list):
        raise BadJson("it is an object with one list of parts")
    ends = 0 if moment is None else round(moment.timestamp() * 1000)
    return OwnKey(kind, cast("Sequence[Any]", value), ends)
