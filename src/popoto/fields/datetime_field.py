"""`DatetimeField`: a moment, filled in by itself on request."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from popoto._stock import stock
from popoto.fields.field import Field
from popoto.fields.valued import leaves_exact
from popoto.fields.zone import check_zone, idle_zone


class DatetimeField(Field[datetime.datetime]):
    """A field of type datetime. Aware values keep their offset.

    `auto_now_add`  a save fills an empty value with the current time
    `auto_now`      every save sets the current time (``save(skip_auto_now=True)`` does not)
    `tz`            time zone of the filled-in time; naive local time by default
    """

    option_defaults: ClassVar[dict[str, Any]] = {
        "auto_now": False,
        "auto_now_add": False,
        "tz": None,
    }

    shown_keywords: ClassVar[tuple[str, ...]] = ("auto_now", "auto_now_add")

    auto_now: bool
    auto_now_add: bool
    tz: datetime.tzinfo | None

    def __init__(self, **options: Any) -> None:
        options["type"] = datetime.datetime
        super().__init__(**options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        check_zone(self)

    def without_effect(self, model: Any) -> Iterator[str]:
        yield from super().without_effect(model)
        yield from idle_zone(self)

    @leaves_exact
    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if value is None and (self.auto_now or self.auto_now_add):
            return None
        return super().problem(value, null_check=null_check)

    @stock
    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        overwrite = self.auto_now and not kwargs.get("skip_auto_now")
        if overwrite or (self.auto_now_add and not field_value):
            return datetime.datetime.now(self.tz)
        return field_value

    @property
    def stamps_writes(self) -> bool:
        return self.auto_now
