"""`FrequencySketch`: how often a word was saved, estimated from a few counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from popoto.engine.request import Argument, Plan, ScriptCall
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.fingerprints.consulting import words_of
from popoto.fields.fingerprints.field import FingerprintField
from popoto.memory.sketch.formula import SketchForm
from popoto.memory.sketch.scripts import ASK_SKETCH

__all__ = ["FrequencySketch"]

#: More counters or rows would be no sketch any more, and no call could hold them.
_MOST_COLUMNS = 2**32
_MOST_ROWS = 1_000


class FrequencySketch(FingerprintField):
    """A count-min sketch of the words that were saved (`popoto.memory.sketch.formula`).

    `width`           counters in each row; more make the estimates closer
    `depth`           rows; more make bad estimates rarer
    `fingerprint_fn`  makes the text of a record whose words are counted; by default the record key

    Every call of save counts each word of the record's fingerprint once, in the same step, also
    where the record was saved before; a partial save does where it names this field or changes
    the fingerprint. Deleting counts nothing down. `rebuild_indexes` counts anew: each record
    once. `fingerprint_fn` must not return None (ValueError, and nothing is written).

    `get_frequency` has a native asyncio twin, ``async_get_frequency``. Where the sketch was made
    with another width or depth, it and saves raise ModelException.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"width": 2000, "depth": 7}
    shown_keywords: ClassVar[tuple[str, ...]] = ("width", "depth")
    values_are = "sketch of words"
    key_prefix = "$FS"
    command = "COUNT"
    measure = "HLEN"
    has_note = False

    width: int
    depth: int

    def __init__(
        self,
        width: int = 2000,
        depth: int = 7,
        fingerprint_fn: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(fingerprint_fn, width=width, depth=depth, **options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        _check_number("width", self.width, _MOST_COLUMNS)
        _check_number("depth", self.depth, _MOST_ROWS)
        self.sketch = SketchForm(self.width, self.depth)

    # Its form ---------------------------------------------------------------------

    def mark(self, version: int) -> bytes:
        return self.sketch.mark(version)

    def measures(self) -> tuple[int, ...]:
        return self.width, self.depth

    def arguments(self, item: bytes) -> tuple[bytes, ...]:
        return self.sketch.arguments(item)

    # Asking -------------------------------------------------------------------------

    def get_frequency(self, model_class: Any, fingerprint: Any) -> int:
        """How often a word was saved, or a little more; never less. One command.

        Of a text of several words, the count of the rarest; 0 for what was never saved.
        """
        return run(self._frequency(model_class, fingerprint))

    async def async_get_frequency(self, model_class: Any, fingerprint: Any) -> int:
        """`get_frequency` for asyncio."""
        return await arun(self._frequency(model_class, fingerprint))

    def _frequency(self, model_class: Any, fingerprint: Any) -> Plan[int]:
        field, options = self._field_in(model_class), model_class._meta
        options.isolation.check_at_large("a frequency sketch", "query.filter(…).count()")
        arguments: list[Argument] = [*field.form()]
        for each in field.with_places(words_of(fingerprint)):
            arguments += each
        call = ScriptCall(ASK_SKETCH, [field.key_of(options.model_name)], arguments)
        return sum(int(count) for (count,) in (yield from field.asking(options, [call])))


def _check_number(name: str, value: object, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ModelException(
            f"{name} must be a whole number from 1 to {most}, got {describe(value)}"
        )
