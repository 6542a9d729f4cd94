"""What a model requires of those who read it: `Meta.require_partition`."""

from __future__ import annotations

from typing import Any

from popoto.exceptions import QueryException

__all__ = ["Isolation"]


class Isolation:
    """The fields of which every read of a model has to name the value. None by default."""

    def __init__(
        self, model_name: str, names: tuple[str, ...] = (), *, is_told_by_keys: bool = True
    ) -> None:
        self.names = names
        self._model_name = model_name
        #: whether a record's key tells its partition
        self.is_told_by_keys = is_told_by_keys

    def __bool__(self) -> bool:
        return bool(self.names)

    def at_large(self, what: str, remedy: str) -> QueryException:
        """What refuses to read more than one partition."""
        return QueryException(
            f"{self._model_name}: {what} could read other partitions, since it does not say which: "
            f"Meta.require_partition names {', '.join(self.names)}. Use {remedy}"
        )

    def check_at_large(self, what: str, remedy: str) -> None:
        """Raises QueryException where a partition is required; `what` knows of none."""
        if self.names:
            raise self.at_large(what, remedy)

    def check_keys_tell(self, what: str) -> None:
        """Raises QueryException where a record's key does not tell the partition required."""
        if not self.is_told_by_keys:
            conditions = ", ".join(f"{name}=…" for name in self.names)
            raise self.at_large(what, f"query.filter({conditions}), or make that a KeyField")

    def check_had(self, instance: Any, what: str) -> None:
        """Raises QueryException for an instance that was only given the key of a record.

        Where keys do not tell the partition, any other's key will do for that. One that was read
        or saved under its key has been let in.
        """
        if not self.is_told_by_keys and not instance._stored:
            given = ", ".join(f"{name}=…" for name in self.names)
            raise self.at_large(f"{what} of a record that was not read", f"query.get(…, {given})")
