"""The part of `Model` that shows a record as a dict, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from popoto._unknown_names import is_strict, tell
from popoto.fields.describing import describe
from popoto.fields.given import flag_in
from popoto.models.record import as_dict, json_schema
from popoto.models.record.record import Record


class AsDictMethods(Record, is_base=True):
    """Methods of `Model` that show a record. Fields alone are shown, and nothing else of it."""

    def to_dict(
        self,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        relationships: bool = False,
        max_depth: int | None = None,
        json: bool = False,
    ) -> dict[str, Any]:
        """The explicit fields and their values, in order of declaration.

        A reference is the target's key, or with `relationships` the target's own
        dict, down to `max_depth` levels (None = all); the key again where the target
        is missing or stands higher up already. Capped lists are plain lists.

        Names that are no fields say nothing; one that looks like a field's gives a warning, and a
        strict model refuses it.

        With `json` every value is one that `json.dumps` takes: dates and times in ISO form,
        Decimals, UUIDs and timedeltas as text, bytes in base64, sets as sorted lists, tuples
        as lists, members of an Enum as their values; NaN and infinities as text. Raises
        ModelException for a value that has no such form.
        """
        what = f"{self._meta.model_name}.to_dict"
        if max_depth is not None and relationships is False:
            tell(
                f"{what}(max_depth={describe(max_depth)}) has no effect without relationships=True",
                refuse=is_strict(self._meta.strict),
            )
        return as_dict.to_dict(
            self,
            include,
            exclude,
            relationships is not False and flag_in(relationships, f"{what}(relationships=…)"),
            max_depth,
            in_json=json is not False and flag_in(json, f"{what}(json=…)"),
        )

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Names and values of `to_dict(json=True)`: `dict(record)`, which FastAPI asks for."""
        return iter(as_dict.to_dict(self, None, None, False, None, in_json=True).items())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Records in types that Pydantic reads, the body of a request for one.

        An instance is taken as it is; an object of JSON makes one that is not stored yet, and
        what is wrong with it is told by field. Shown as `to_dict(json=True)`.
        """
        return json_schema.core_schema(source)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """What Pydantic and FastAPI say of records in OpenAPI."""
        return json_schema.of_model(cls, is_input=handler.mode == "validation")
