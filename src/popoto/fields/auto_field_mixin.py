"""Auto fields: a key that the instance gives itself."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from popoto.exceptions import ModelException
from popoto.fields.coercion import coerce
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.keeping.entries import Entry

_ULID_LENGTH = 26
_KSUID_LENGTH = 27
_UUID_LENGTH = 32


def _new_ulid() -> str:
    module = _import("ulid", "ulid-py")
    return str(module.new())


def _new_ksuid() -> str:
    module = _import("cyksuid.v2", "cyksuid")
    return str(module.ksuid())


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this AutoKeyField strategy needs the package {package}: pip install {package}"
        ) from error


class AutoFieldMixin(Field[str]):
    """Generates a value for every new instance.

    `strategy`          ``uuid4`` (default; hexadecimal, cut to `auto_uuid_length`),
                        ``ulid`` (26 characters, sorts by time; needs ``ulid-py``) or
                        ``ksuid`` (27 characters; needs ``cyksuid``)
    `auto_uuid_length`  1 to 32; 32 hexadecimal digits hold 122 random bits
    """

    option_defaults: ClassVar[dict[str, Any]] = {
        "auto": True,
        "strategy": "uuid4",
        "auto_uuid_length": _UUID_LENGTH,
    }

    takes_no_default: ClassVar[str] = "it makes a value of its own for each record"

    strategy: str
    auto_uuid_length: int

    _generators: ClassVar[dict[str, Callable[[], str] | None]] = {
        "uuid4": None,
        "ulid": _new_ulid,
        "ksuid": _new_ksuid,
    }

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        if self.strategy not in tuple(self._generators):
            raise ValueError(
                f"Invalid strategy {self.strategy!r} for AutoKeyField: use one of "
                f"{', '.join(map(repr, self._generators))}"
            )
        length = self.auto_uuid_length
        if type(length) is not int or not 1 <= length <= _UUID_LENGTH:
            raise ModelException(
                f"auto_uuid_length must be an int from 1 to {_UUID_LENGTH}, got {length!r}"
            )

    @property
    def value_length(self) -> int:
        """How many characters a value has."""
        return {"ulid": _ULID_LENGTH, "ksuid": _KSUID_LENGTH}.get(
            self.strategy, self.auto_uuid_length
        )

    def get_new_auto_key_value(self) -> str:
        """A fresh value. Raises ImportError where the strategy's package is missing."""
        generate = self._generators[self.strategy]
        return generate() if generate else uuid.uuid4().hex[: self.auto_uuid_length]

    def set_auto_key_value(self, force: bool = False) -> None:
        """Give the field object itself a value, as a default for the next instance.

        Kept for callers of the published package; instances draw their own values.
        """
        if force or not self.default:
            self.default = self.get_new_auto_key_value()

    def make_default(self) -> Any:
        return self.get_new_auto_key_value()

    def missing_value(self, instance: Any) -> Any:
        return None

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        problem = super().problem(value, null_check=null_check)
        if problem is None and value is not None and not isinstance(value, str):
            return f"the strategy {self.strategy!r} makes texts, and this is {describe(value)}"
        if problem is None and value is not None and len(value) != self.value_length:
            return (
                f"its length is {len(value)}, but values of the strategy {self.strategy!r} "
                f"have {self.value_length} characters"
            )
        return problem

    def coerce(self, value: Any) -> Any:
        # A number is no identifier: do not turn it into text.
        return value

    def coerce_asked(self, value: Any) -> Any:
        # It may be asked for, as any key may, and is not found.
        return coerce(str, value)

    @property
    def keeps_value_sets(self) -> bool:
        return False

    @property
    def makes_entries(self) -> bool:
        return False

    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        return ()
