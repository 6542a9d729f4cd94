"""What a geo set can answer: who is within a radius of a place, and who has no place."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Protocol

from popoto.engine.tree import EVERYTHING, Near, ScoreRange, all_of, negated
from popoto.exceptions import QueryException
from popoto.fields.asking.lookups import conjunction, truth, unsupported
from popoto.fields.asking.operands import Askable, Conditions, Operand, View
from popoto.fields.coercion import CoercionError
from popoto.fields.coordinates import (
    METRES,
    NOWHERE,
    Coordinates,
    distance_metres,
    searched_metres,
    to_coordinates,
    within_cells,
)
from popoto.fields.describing import describe
from popoto.fields.given import flag_in

#: The lookups of a geo field. Those of a place follow the field's name without "__".
PLACE_LOOKUPS = (
    "",
    "_latitude",
    "_longitude",
    "_member",
    "_radius",
    "_radius_unit",
    "_with_distances",
    "isnull",
)


class Placed(Askable, Protocol):
    """A field with a geo set, as far as its lookups need it."""

    geo_set_key: str


def around(field: Placed, conditions: Conditions) -> Operand:
    """The conditions on a position: keywords of one place belong together."""
    places: list[dict[str, Any]] = []
    operands: list[Operand] = []
    for lookup, value in conditions:
        if lookup == "isnull":
            operands.append(_is_null(field, truth(field, lookup, value)))
        elif lookup not in PLACE_LOOKUPS:
            raise unsupported(field, lookup)
        elif not places or lookup in places[-1]:
            # A keyword that comes again begins another place, which must match as well.
            places.append({lookup: value})
        else:
            places[-1][lookup] = value
    operands += [_near(field, given) for given in places]
    if len(operands) == 1:
        return operands[0]
    joined = conjunction(operands)
    for operand in operands:
        joined.extra |= operand.extra
    return joined


def centre_of(field: Placed, value: Any) -> Coordinates:
    """The centre of a search. Raises QueryException for what is no position."""
    try:
        centre = to_coordinates(value)
    except CoercionError as error:
        raise QueryException(
            f"{field.label}: {describe(value)} is no centre of a search: {error}; give "
            "GeoField.Coordinates(latitude, longitude) or a pair"
        ) from error
    if centre == NOWHERE:
        raise QueryException(
            f"{field.label}: missing geo parameters; a centre needs latitude and longitude"
        )
    return centre


def _is_null(field: Placed, wanted: bool) -> Operand:
    placed = ScoreRange(field.geo_set_key)
    name = field.name

    def test(view: View) -> bool:
        return (tuple(view.value(name) or NOWHERE) == NOWHERE) is wanted

    node = negated(placed) if wanted else all_of([placed, EVERYTHING])
    return Operand(node, test, True, frozenset({name}))


def _near(field: Placed, given: dict[str, Any]) -> Operand:
    unit = given.get("_radius_unit", "m")
    if not isinstance(unit, str) or unit not in METRES:
        raise QueryException(
            f"{field.label}: {field.name}_radius_unit must be one of m, km, ft, mi, "
            f"got {describe(unit)}"
        )
    radius = given.get("_radius", 1)
    if (
        isinstance(radius, bool)
        or not isinstance(radius, (int, float, Decimal))
        or not math.isfinite(radius)
        or radius < 0
    ):
        raise QueryException(
            f"{field.label}: {field.name}_radius must be a number of {unit}, 0 or more, "
            f"got {describe(radius)}"
        )
    member: str | None = None
    _check_one_centre(field, given)
    if "_member" in given:
        centre, member = _member(field, given["_member"])
    elif "" in given:
        centre = centre_of(field, given[""])
    elif "_latitude" in given and "_longitude" in given:
        centre = centre_of(field, (given["_latitude"], given["_longitude"]))
    else:
        raise QueryException(
            f"{field.label}: missing geo parameters; give {field.name}=(latitude, longitude), "
            f"or {field.name}_latitude and {field.name}_longitude, or {field.name}_member"
        )
    reach, name = float(radius) * METRES[unit], field.name
    searched = searched_metres(centre, reach)
    is_exact = searched == reach
    width = float(radius) if is_exact else searched / METRES[unit]
    longitude, latitude = within_cells(centre.latitude or 0.0, centre.longitude or 0.0)
    node = Near(field.geo_set_key, longitude, latitude, member, width, unit)

    def test(view: View) -> bool:
        stored = to_coordinates(view.value(name))
        return stored != NOWHERE and distance_metres(centre, stored) <= reach

    operand = Operand(node, test, is_exact, frozenset({name}))
    operand.extra["near"] = node
    try:
        wants = flag_in(given.get("_with_distances"), f"{field.name}_with_distances")
    except TypeError as error:
        raise QueryException(f"{field.label}: {error}") from error
    if wants:
        operand.extra["distance_unit"] = unit
    return operand


def _check_one_centre(field: Placed, given: dict[str, Any]) -> None:
    """Refuse centres of which all but one would be dropped."""
    by_pair = any(part in given for part in ("_latitude", "_longitude"))
    names = [f"{field.name}{part}" for part in ("", "_member") if part in given]
    if by_pair:
        names.append(f"{field.name}_latitude and {field.name}_longitude")
    if len(names) > 1:
        raise QueryException(f"{field.label}: {' or '.join(names)}, not more than one of them")


def _member(field: Placed, value: Any) -> tuple[Coordinates, str | None]:
    if not hasattr(value, "_meta") or value._meta.model_name != field.model_name:
        raise QueryException(
            f"{field.label}: {field.name}_member must be an instance of {field.model_name}, "
            f"got {describe(value)}"
        )
    position = to_coordinates(getattr(value, field.name))
    if position == NOWHERE:
        raise QueryException(
            f"{field.label}: {field.name}_member={value!r} has no position to search around"
        )
    if value._meta.shard_by is not None:
        # Other shards do not hold its position.
        return position, None
    return position, value._redis_key or value.db_key.redis_key
