"""`GeoField`: a position on the globe, found by distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from popoto._stock import stock
from popoto.engine.db_key import DB_key
from popoto.exceptions import QueryException
from popoto.fields.asking.near import PLACE_LOOKUPS, around, centre_of
from popoto.fields.asking.operands import Conditions, Operand, Scope
from popoto.fields.coercion import CoercionError
from popoto.fields.coordinates import NOWHERE, Coordinates, to_coordinates, within_cells
from popoto.fields.field import Field
from popoto.fields.keeping.entries import Entry, GeoEntry
from popoto.fields.keeping.families import KeyFamily

__all__ = ["Coordinates", "GeoField"]


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

    keeps_own_index: ClassVar[bool] = True
    option_defaults: ClassVar[dict[str, Any]] = {"type": tuple, "default": NOWHERE}
    valid_types = None

    def __init__(self, **options: Any) -> None:
        options["type"] = tuple
        super().__init__(**options)

    # Values ---------------------------------------------------------------------

    def coerce(self, value: Any) -> Any:
        return to_coordinates(value)

    def in_json(self, value: Any) -> Any:
        return None if value == NOWHERE else super().in_json(value)

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

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"geo"}

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
        longitude, latitude = within_cells(position.latitude, position.longitude)
        return (GeoEntry(self.geo_set_key, key, longitude, latitude),)

    def entries_to_remove(self, instance: Any, value: Any, key: str) -> Sequence[Entry]:
        return self.entries_of_any(instance, value, key, Coordinates(0.0, 0.0))

    def key_families(self) -> Sequence[KeyFamily]:
        return (KeyFamily("geo_fields", self.name, self.geo_set_key, "zset"),)

    @classmethod
    def get_geo_db_key(cls, model: Any, field_name: str) -> DB_key:
        """The key of the geo index."""
        return cls.get_special_use_field_db_key(model, field_name)

    # Lookups ----------------------------------------------------------------------

    @property
    def lookup_names(self) -> tuple[str, ...]:
        return PLACE_LOOKUPS

    def get_filter_query_params(self, field_name: str) -> set[str]:
        return {
            f"{field_name}__isnull" if name == "isnull" else field_name + name
            for name in self.lookup_names
        }

    def operand(self, conditions: Conditions, scope: Scope) -> Operand:
        return around(self, conditions)

    def wants_distances(self, conditions: Conditions) -> bool:
        return any(lookup == "_with_distances" and asked for lookup, asked in conditions)

    def circle_of(self, conditions: Conditions) -> Mapping[str, Any]:
        place = [each for each in conditions if each[0] in PLACE_LOOKUPS and each[0] != "isnull"]
        try:
            return around(self, place).extra if place else {}
        except QueryException:
            # A place that means something to its own `filter_query` alone.
            return {}

    def coerce_operand(self, lookup: str, value: Any) -> Any:
        return centre_of(self, value)

    def sort_key(self, value: Any) -> tuple[Any, ...]:
        # A position that is none is a null, although it is stored as a pair.
        return super().sort_key(None if value is None or value[0] is None else value)
