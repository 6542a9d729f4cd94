"""`values()` and `values_list()`: chosen fields of the rows, without instances."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from popoto.engine.codec import DecodeError
from popoto.models.reading.by_pk import PK
from popoto.models.reading.calls import Row
from popoto.models.reading.spec import Shape
from popoto.models.record.options import AnyField, ModelOptions

logger = logging.getLogger("POPOTO.Query")


def projected(
    options: ModelOptions, rows: Sequence[Row], names: tuple[str, ...], shape: Shape
) -> list[Any]:
    """A dict for each row, a tuple, or the value of the one field.

    Bytes that cannot be decoded are logged and read as None.
    """
    columns = [
        [row.key for row in rows] if name == PK else _column(options.by_name[name], rows)
        for name in names
    ]
    if shape == "flat":
        return columns[0]
    if shape == "tuples":
        return list(zip(*columns, strict=True))
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _column(field: AnyField, rows: Sequence[Row]) -> list[Any]:
    """The values of one field in all rows."""
    name, decode, in_hash = field.name, field.decode, field.in_hash
    values: list[Any] = []
    for row in rows:
        raw = row.stored.get(name)
        if raw is None:
            values.append(None if field.auto else field.make_default())
            continue
        try:
            value = decode(raw)
            values.append(field.loaded_value(None, value) if in_hash else value)
        except DecodeError as error:
            logger.warning("%s of record %r cannot be decoded: %s", field.label, row.key, error)
            values.append(None)
    return values
