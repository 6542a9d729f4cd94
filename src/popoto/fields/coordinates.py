"""Positions on the globe: what is taken for one, and how far two are apart."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, NamedTuple

from popoto.fields.coercion import CoercionError, is_list
from popoto.fields.describing import describe

#: What a geo set can hold (the range of the Web Mercator projection).
MAX_LATITUDE = 85.05112878
MAX_LONGITUDE = 180.0
#: Bits of each coordinate in a geo set's scores.
CELL_BITS = 26
#: The middle of the last cell to the north and to the east. On the edge itself a server counts
#: one cell more than there are, where searches from anywhere else do not look.
_NORTHERNMOST = MAX_LATITUDE - MAX_LATITUDE / (1 << CELL_BITS)
_EASTERNMOST = MAX_LONGITUDE - MAX_LONGITUDE / (1 << CELL_BITS)

#: Units of distances, in metres.
METRES = {"m": 1.0, "km": 1000.0, "ft": 0.3048, "mi": 1609.34}
#: Radius by which the server measures distances (haversine on a sphere).
_EARTH_RADIUS_METRES = 6372797.560856


class Coordinates(NamedTuple):
    """Latitude and longitude in degrees; both None = no position."""

    latitude: float | None = None
    longitude: float | None = None


NOWHERE = Coordinates(None, None)


def geo_score(longitude: float, latitude: float) -> int:
    """The score of a position in a geo set: the bits of both coordinates, interleaved."""
    cells = 1 << CELL_BITS
    x = int((longitude + MAX_LONGITUDE) / (2 * MAX_LONGITUDE) * cells)
    y = int((latitude + MAX_LATITUDE) / (2 * MAX_LATITUDE) * cells)
    score = 0
    for bit in range(CELL_BITS):
        score |= (y >> bit & 1) << (2 * bit) | (x >> bit & 1) << (2 * bit + 1)
    return score


def _radians(position: Coordinates) -> tuple[float, float]:
    return math.radians(position.latitude or 0.0), math.radians(position.longitude or 0.0)


def distance_metres(a: Coordinates, b: Coordinates) -> float:
    """The distance of two positions along the surface, as the server measures it."""
    (latitude_a, longitude_a), (latitude_b, longitude_b) = _radians(a), _radians(b)
    u = math.sin((latitude_b - latitude_a) / 2)
    v = math.sin((longitude_b - longitude_a) / 2)
    chord = u * u + math.cos(latitude_a) * math.cos(latitude_b) * v * v
    return 2 * _EARTH_RADIUS_METRES * math.asin(math.sqrt(chord))


def within_cells(latitude: float, longitude: float) -> tuple[float, float]:
    """Longitude and latitude as servers get them: for an edge, the middle of the cell beside it."""
    return min(longitude, _EASTERNMOST), min(latitude, _NORTHERNMOST)


#: Circles across a pole that are smaller than this are searched by servers on one side of it alone.
_POLAR_METRES = 1_000_000.0


def searched_metres(centre: Coordinates, metres: float) -> float:
    """The radius of a circle that servers search whole and that holds the one of this radius."""
    to_pole = math.radians(90 - abs(centre.latitude or 0.0)) * _EARTH_RADIUS_METRES
    return metres if metres < to_pole - 1 else max(metres, _POLAR_METRES)


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


def _is_position(latitude: float | None, longitude: float | None) -> bool:
    """Whether nothing has to be converted: a save asks this several times of each value."""
    return (
        type(latitude) is float
        and type(longitude) is float
        and -MAX_LATITUDE <= latitude <= MAX_LATITUDE
        and -MAX_LONGITUDE <= longitude <= MAX_LONGITUDE
    )


def to_coordinates(value: Any) -> Coordinates:
    """A pair as `Coordinates`. Raises CoercionError for anything that is no position."""
    if value is None:
        return NOWHERE
    if type(value) is Coordinates and _is_position(*value):
        return value
    if not is_list(value) or len(value) != 2:
        raise CoercionError(f"{describe(value)} is no pair of latitude and longitude")
    latitude, longitude = value
    if latitude is None and longitude is None:
        return NOWHERE
    if latitude is None or longitude is None:
        raise CoercionError("latitude and longitude must both be given, or neither")
    return Coordinates(_number(latitude, "latitude"), _number(longitude, "longitude"))
