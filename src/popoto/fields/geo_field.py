"""`GeoField`: a position on the globe, found by distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from popoto._stock import stock
from popoto.engine.db_key import DB_key
from popoto.engine.tree import EVERYTHING, Near, ScoreRange, all_of, negated
from popoto.exceptions import QueryException
from popoto.fields.asking.lookups import conjunction, truth, unsupported
from popoto.fields.asking.operands import Conditions, Operand, Scope, View
from popoto.fields.coercion import CoercionError, describe, is_list
from popoto.fields.field import Field
from popoto.fields.keeping.entries import Entry, GeoEntry
from popoto.fields.keeping.families import KeyFamily

#: What a geo set can hold (the range of the Web Mercator projection).
MAX_LATITUDE = 85.05112878
MAX_LONGITUDE = 180.0

_METRES = {"m": 1.0, "km": 1000.0, "ft": 0.3048, "mi": 1609.34}
#: Radius by which the server measures distances (haversine on a sphere).
_EARTH_RADIUS_METRES = 6372797.560856


class Coordinates(NamedTuple):
    """Latitude and longitude in degrees; both None = no position."""

    latitude: float | None = None
    longitude: float | None = None


NOWHERE = Coordinates(None, None)


def _radians(position: Coordinates) -> tuple[float, float]:
    return math.radians(position.latitude or 0.0), math.radians(position.longitude or 0.0)


def _distance_metres(a: Coordinates, b: Coordinates) -> float:
    (latitude_a, longitude_a), (latitude_b, longitude_b) = _radians(a), _radians(b)
    u = math.sin((latitude_b - latitude_a) / 2)
    v = math.sin((longitude_b - longitude_a) / 2)
    chord = u * u + math.cos(latitude_a) * math.cos(latitude_b) * v * v
    return 2 * _EARTH_RADIUS_METRES * math.asin(math.sqrt(chord))


def _number(value: Any, axis: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise CoercionError(f"{axis} {describe(value)} is no number")
    try:
        number = value if isinstance(value, (int, float)) else float(value)
    except ValueError as error:
        raise CoercionError(f"{axis} {describe(value)} is no number") from error
    limit = MAX_LATITUDE if axis == "latitude" else MAX_LONGITUDE
    if not -limit <= number <= limit:
        raise CoercionError(f"{axis} {describe(value)} is outside -{limit} to {limit} degrees")
    return number


def to_coordinates(value: Any) -> Coordinates:
    """A pair as `Coordinates`. Raises CoercionError for anything that is no position."""
    if value is None:
        return NOWHERE
    if not is_list(value) or len(value) != 2:
        raise CoercionError(f"{describe(value)} is no pair of latitude and longitude")
    latitude, longitude = value
    if latitude is None and longitude is None:
        return NOWHERE
    if latitude is None or longitude is None:
        raise CoercionError("latitude and longitude must both be given, or neither")
    return Coordinates(_number(latitude, "latitude"), _number(longitude, "longitude"))


class GeoField(Field[Coordinates]):
    """A position, kept in a geo index. Values are `GeoField.Coordinates` or plain pairs.

    Filter keywords, for a field ``home``: ``home`` (centre) or ``home_latitude`` with
    ``home_longitude`` or ``home_member`` (another record), ``home_radius`` (default 1),
    ``home_radius_unit`` (``m``, ``km``, ``ft``, ``mi``; default metres),
    ``home_with_distances`` and ``home__isnull``.
    """

    Coordinates: TypeAlias = Coordinates

    if TYPE_CHECKING:
        # Plain pairs may be assigned, too; saving makes them Coordinates.
        def __set__(
            self,
            instance: object,
            value: tuple[float | None, float | None] | list[float] | None,
        ) -> None: ...

    option_defaults: ClassVar[dict[str, Any]] = {"type": tuple, "default": NOWHERE}
    valid_types = None

    def __init__(self, **options: Any) -> None:
        options["type"] = tuple
        super().__init__(**options)

    # Values ---------------------------------------------------------------------

    def coerce(self, value: Any) -> Any:
        return to_coordinates(value)

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        try:
            position = to_coordinates(value)
        except CoercionError as error:
            return str(error)
        if position == NOWHERE and null_check and not self.null:
            return "it cannot be null"
        return None

    def canonical(self, value: Any) -> Any:
        return NOWHERE if value is None else value

    def assigned_value(self, instance: Any, value: Any) -> Any:
        return value

    def loaded_value(self, instance: Any, value: Any) -> Any:
        if value is None:
            return NOWHERE
        return Coordinates(*value) if len(value) == 2 else value

    def missing_value(self, instance: Any) -> Any:
        return self.make_default()

    @stock
    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        return to_coordinates(field_value)

    # Entries --------------------------------------------------------------------

    @property
    def keeps_value_sets(self) -> bool:
        return False

    @property
    def makes_entries(self) -> bool:
        return True

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        self.geo_set_key = f"{self.field_class_key}:{model_name}:{name}"

    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        try:
            position = to_coordinates(values[self.name])
        except CoercionError:
            # Stored by another writer: a position that no index can hold.
            return ()
        if position.latitude is None or position.longitude is None:
            return ()
        return (GeoEntry(self.geo_set_key, key, position.longitude, position.latitude),)

    def key_families(self) -> Sequence[KeyFamily]:
        return (KeyFamily("geo_fields", self.name, self.geo_set_key, "zset"),)

    @classmethod
    def get_geo_db_key(cls, model: Any, field_name: str) -> DB_key:
        """The key of the geo index."""
        return cls.get_special_use_field_db_key(model, field_name)

    # Lookups ----------------------------------------------------------------------

    @property
    def lookup_names(self) -> tuple[str, ...]:
        return (
            "",
            "_latitude",
            "_longitude",
            "_member",
            "_radius",
            "_radius_unit",
            "_with_distances",
            "isnull",
        )

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {
            f"{field_name}__isnull" if name == "isnull" else field_name + name
            for name in self.lookup_names
        }

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        places: list[dict[str, Any]] = []
        operands: list[Operand] = []
        for lookup, value in conditions:
            if lookup == "isnull":
                operands.append(self._is_null(truth(self, lookup, value)))
            elif lookup not in self.lookup_names:
                raise unsupported(self, lookup)
            elif not places or lookup in places[-1]:
                # A keyword that comes again begins another place, which must match as well.
                places.append({lookup: value})
            else:
                places[-1][lookup] = value
        operands += [self._near(given) for given in places]
        if len(operands) == 1:
            return operands[0]
        joined = conjunction(operands)
        for operand in operands:
            joined.extra |= operand.extra
        return joined

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        return self._centre(value)

    def _is_null(self, wanted: bool) -> Operand:
        placed = ScoreRange(self.geo_set_key)
        name = self.name

        def test(view: View) -> bool:
            return (tuple(view.value(name) or NOWHERE) == NOWHERE) is wanted

        node = negated(placed) if wanted else all_of([placed, EVERYTHING])
        return Operand(node, test, True, frozenset({name}))

    def _near(self, given: dict[str, Any]) -> Operand:
        unit = given.get("_radius_unit", "m")
        if unit not in _METRES:
            raise QueryException(
                f"{self.label}: {self.name}_radius_unit must be one of m, km, ft, mi, "
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
                f"{self.label}: {self.name}_radius must be a number of {unit}, 0 or more, "
                f"got {describe(radius)}"
            )
        member: str | None = None
        if "_member" in given:
            centre, member = self._member(given["_member"])
        elif "" in given:
            centre = self._centre(given[""])
        elif "_latitude" in given and "_longitude" in given:
            centre = self._centre((given["_latitude"], given["_longitude"]))
        else:
            raise QueryException(
                f"{self.label}: missing geo parameters; give {self.name}=(latitude, longitude), "
                f"or {self.name}_latitude and {self.name}_longitude, or {self.name}_member"
            )
        node = Near(
            self.geo_set_key, centre.longitude, centre.latitude, member, float(radius), unit
        )
        reach, name = float(radius) * _METRES[unit], self.name

        def test(view: View) -> bool:
            stored = to_coordinates(view.value(name))
            return stored != NOWHERE and _distance_metres(centre, stored) <= reach

        operand = Operand(node, test, True, frozenset({name}))
        operand.extra["near"] = True
        if given.get("_with_distances"):
            operand.extra["distance_unit"] = unit
        return operand

    def _centre(self, value: Any) -> Coordinates:
        try:
            centre = to_coordinates(value)
        except CoercionError as error:
            raise QueryException(
                f"{self.label}: {describe(value)} is no centre of a search: {error}; give "
                "GeoField.Coordinates(latitude, longitude) or a pair"
            ) from error
        if centre == NOWHERE:
            raise QueryException(
                f"{self.label}: missing geo parameters; a centre needs latitude and longitude"
            )
        return centre

    def _member(self, value: Any) -> tuple[Coordinates, str]:
        if type(value).__name__ != self.model_name or not hasattr(value, "_meta"):
            raise QueryException(
                f"{self.label}: {self.name}_member must be an instance of {self.model_name}, "
                f"got {describe(value)}"
            )
        position = to_coordinates(getattr(value, self.name))
        if position == NOWHERE:
            raise QueryException(
                f"{self.label}: {self.name}_member={value!r} has no position to search around"
            )
        return position, value._redis_key or value.db_key.redis_key
