"""Partitioned fields: what they keep is apart for every combination of other fields' values."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

from popoto.exceptions import ModelException, QueryException
from popoto.fields.asking.operands import Scope
from popoto.fields.describing import describe
from popoto.fields.field import LEFT_OUT, Field, LeftOut
from popoto.fields.type_variables import MixedIn


class PartitionedFieldMixin(Field[MixedIn]):
    """Keeps its index apart for every combination of the values of other fields.

    `partition_by`  a field name or a tuple of them; none by default
    """

    option_defaults: ClassVar[dict[str, Any]] = {"partition_by": ()}

    partition_by: tuple[str, ...]
    _of_ints: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        type: builtins.type[MixedIn] | LeftOut = LEFT_OUT,  # noqa: A002 - the contract's name
        **options: Any,
    ) -> None:
        if "sort_by" in options:
            if "partition_by" in options:
                raise ModelException(
                    "sort_by is the old name of partition_by: give partition_by only, not both"
                )
            _warn_sort_by()
            options["partition_by"] = options.pop("sort_by")
        super().__init__(type=type, **options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        partition_by: object = self.partition_by
        if isinstance(partition_by, str):
            partition_by = (partition_by,)
        if not isinstance(partition_by, tuple) or not all(
            isinstance(name, str) for name in partition_by
        ):
            raise ModelException(
                f"partition_by must be a field name or a tuple of field names, "
                f"got {describe(partition_by)}"
            )
        self.partition_by = partition_by

    @property
    def sort_by(self) -> tuple[str, ...]:
        """Deprecated name of `partition_by`."""
        _warn_sort_by()
        return self.partition_by

    @sort_by.setter
    def sort_by(self, value: str | tuple[str, ...]) -> None:
        _warn_sort_by()
        self.partition_by = (value,) if isinstance(value, str) else value

    @property
    def partition_names(self) -> tuple[str, ...]:
        return self.partition_by

    @property
    def depends_on(self) -> tuple[str, ...]:
        return self.partition_by

    def check_model(
        self, fields: Mapping[str, Any], indexes: Sequence[tuple[tuple[str, ...], bool]]
    ) -> None:
        for name in self.partition_by:
            if name not in fields:
                raise ModelException(
                    f"{self.label}: partition_by names {name!r}, which is no field of "
                    f"{self.model_name}; fields are {', '.join(fields)}"
                )
        self._of_ints = frozenset(name for name in self.partition_by if fields[name].type is int)

    def partition_values(self, values: Mapping[str, Any]) -> list[Any]:
        """The values of the partition that a record stands in; True is 1 in a field of ints."""
        if not self._of_ints:
            return [values[name] for name in self.partition_by]
        return [
            int(value)
            if isinstance(value := values[name], bool) and name in self._of_ints
            else value
            for name in self.partition_by
        ]

    def partitions_in(self, scope: Scope) -> Iterator[tuple[Any, ...]]:
        """The values of the partitions that a condition in this scope looks at.

        Raises QueryException where a field that decides on the partition is left open.
        """
        missing = [name for name in self.partition_by if name not in scope.fixed]
        if missing:
            raise QueryException(
                f"{self.label} is partitioned by {', '.join(self.partition_by)}: a condition on "
                f"it needs an exact value for {', '.join(missing)} as well"
            )
        return product(*(scope.fixed[name] for name in self.partition_by))


def _warn_sort_by() -> None:
    warnings.warn("sort_by is deprecated, use partition_by", DeprecationWarning, stacklevel=3)
