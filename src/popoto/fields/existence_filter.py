"""`ExistenceFilter`: whether a word may have been saved, answered from a few bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from popoto._unknown_names import warn_caller
from popoto.engine.request import Argument, Plan, ScriptCall
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.fields._tokenizer import tokenize
from popoto.fields.describing import describe
from popoto.fields.fingerprints.consulting import words_of
from popoto.fields.fingerprints.field import FingerprintField
from popoto.fields.frequency_sketch import FrequencySketch
from popoto.memory.bloom.formula import MOST_BITS, BloomForm
from popoto.memory.bloom.scripts import ASK_FILTER, FILL

#: As in popoto 1.6, sketches and words are found here too.
__all__ = ["ExistenceFilter", "FrequencySketch", "tokenize"]

#: So many arguments go with one call of the script.
_MOST_ARGUMENTS = 100_000


class ExistenceFilter(FingerprintField):
    """A Bloom filter of the words that were saved (`popoto.memory.bloom.formula`).

    `error_rate`      the share of words that were never saved and are taken for saved ones, once
                      the filter is full; above 0 and below 1
    `capacity`        how many different words it is made for; more raise the error rate
    `fingerprint_fn`  makes the text of a record whose words are to be found; by default the
                      record key (which has the name of the class, so any text with that is a hit)

    Every save adds the words of the record's fingerprint, in the same step; a partial save does
    where it changes them. Nothing is ever removed but by `rebuild_indexes`, which fills the
    filter anew from the records, and `delete_all`. So False is certain. `fingerprint_fn` must not
    return None (ValueError, and nothing is written).

    Methods take the model class; each has a native asyncio twin, ``async_…``. Where the filter
    was made with another error rate or capacity, they and saves raise ModelException.
    """

    option_defaults: ClassVar[dict[str, Any]] = {"error_rate": 0.01, "capacity": 100_000}
    shown_keywords: ClassVar[tuple[str, ...]] = ("error_rate", "capacity")
    values_are = "filter of words"
    key_prefix = "$EF"
    command = "BLOOM"
    measure = "STRLEN"
    has_note = True

    error_rate: float
    capacity: int

    def __init__(
        self,
        error_rate: float = 0.01,
        capacity: int = 100_000,
        fingerprint_fn: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(fingerprint_fn, error_rate=error_rate, capacity=capacity, **options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        rate: object = self.error_rate
        is_rate = isinstance(rate, (int, float)) and not isinstance(rate, bool) and 0 < rate < 1
        if not is_rate:
            raise ModelException(
                f"error_rate must be a number above 0 and below 1, got {describe(rate)}"
            )
        capacity: object = self.capacity
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise ModelException(
                f"capacity must be a whole number from 1, got {describe(capacity)}"
            )
        # A first estimate, so that no number is too large for a double.
        if capacity > MOST_BITS or -capacity * math.log(self.error_rate) > MOST_BITS:
            raise ModelException(
                f"a filter of error_rate={rate!r} and capacity={capacity!r} is larger than a "
                "string of a server can be (512 MiB)"
            )
        self.bloom = BloomForm.of(self.error_rate, self.capacity)
        if self.bloom.bits > MOST_BITS:
            raise ModelException(
                f"a filter of error_rate={rate!r} and capacity={capacity!r} is larger than a "
                "string of a server can be (512 MiB)"
            )

    def _compute_params(self) -> tuple[int, int]:
        return self.bloom.bits, self.bloom.probes

    # Its form ---------------------------------------------------------------------

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"existence"}

    def mark(self, version: int) -> bytes:
        return self.bloom.mark(version)

    def measures(self) -> tuple[int, ...]:
        return self.bloom.area, self.bloom.bits, self.bloom.probes

    def arguments(self, item: bytes) -> tuple[bytes, ...]:
        return self.bloom.arguments(item)

    # Asking -------------------------------------------------------------------------

    def might_exist(self, model_class: Any, fingerprint: Any) -> bool:
        """Whether any word of a text may have been saved. False is certain. One command."""
        return run(self._asked(model_class, [fingerprint]))[0]

    async def async_might_exist(self, model_class: Any, fingerprint: Any) -> bool:
        """`might_exist` for asyncio."""
        return (await arun(self._asked(model_class, [fingerprint])))[0]

    def definitely_missing(self, model_class: Any, fingerprint: Any) -> bool:
        """Whether no word of a text was ever saved. True is certain. One command."""
        return not self.might_exist(model_class, fingerprint)

    async def async_definitely_missing(self, model_class: Any, fingerprint: Any) -> bool:
        """`definitely_missing` for asyncio."""
        return not await self.async_might_exist(model_class, fingerprint)

    def might_exist_batch(self, model_class: Any, fingerprints: Iterable[Any]) -> dict[Any, bool]:
        """`might_exist` of many texts, by text, each once. One round trip."""
        return run(self._batch(model_class, fingerprints))

    async def async_might_exist_batch(
        self, model_class: Any, fingerprints: Iterable[Any]
    ) -> dict[Any, bool]:
        """`might_exist_batch` for asyncio."""
        return await arun(self._batch(model_class, fingerprints))

    def might_exist_count(self, model_class: Any, fingerprints: Iterable[Any]) -> int:
        """How many different texts of these might exist. One round trip."""
        return sum(self.might_exist_batch(model_class, fingerprints).values())

    async def async_might_exist_count(self, model_class: Any, fingerprints: Iterable[Any]) -> int:
        """`might_exist_count` for asyncio."""
        return sum((await self.async_might_exist_batch(model_class, fingerprints)).values())

    def fill_ratio(self, model_class: Any) -> float:
        """The share of bits that are set; about 0.5 when the filter is full. One command.

        The server looks at every bit, which takes it 10 us for the filter of 100,000 words.
        """
        return run(self._filled(model_class))

    async def async_fill_ratio(self, model_class: Any) -> float:
        """`fill_ratio` for asyncio."""
        return await arun(self._filled(model_class))

    def _batch(self, model_class: Any, fingerprints: Iterable[Any]) -> Plan[dict[Any, bool]]:
        given: Any = fingerprints
        if not isinstance(given, Iterable):
            raise TypeError(f"{self.label}: a batch is a list of texts, got {describe(given)}")
        if isinstance(fingerprints, (str, bytes)):
            warn_caller(
                f"{self.label}: {describe(fingerprints)} is one text, so each of its letters is "
                "looked for; give a list of texts, or ask might_exist()"
            )
        asked = list(dict.fromkeys(fingerprints))
        found = yield from self._asked(model_class, asked)
        return dict(zip(asked, found, strict=True))

    def _asked(self, model_class: Any, fingerprints: list[Any]) -> Plan[list[bool]]:
        field = self._field_in(model_class)
        model_class._meta.isolation.check_at_large(
            "an existence filter", "query.filter(…).exists()"
        )
        return (yield from field._found(model_class, fingerprints))

    def _found(
        self, model_class: Any, fingerprints: list[Any], options: Any = None
    ) -> Plan[list[bool]]:
        """Whether each is known; `options`: in one shard."""
        keys = self._keys(model_class)
        calls: list[ScriptCall] = []
        arguments: list[Argument] = []
        for fingerprint in fingerprints:
            words = words_of(fingerprint)
            if not arguments or len(arguments) > _MOST_ARGUMENTS:
                arguments = [*self.form()]
                calls.append(ScriptCall(ASK_FILTER, keys, arguments))
            arguments.append(len(words))
            for each in self.with_places(words):
                arguments += each
        if not calls:
            return []
        shards = yield from self.asking(options or model_class._meta, calls)
        if not shards:
            return [False] * len(fingerprints)
        return [1 in replies for replies in zip(*shards, strict=True)]

    def _filled(self, model_class: Any) -> Plan[float]:
        field = self._field_in(model_class)
        model_class._meta.isolation.check_at_large(
            "an existence filter", "query.filter(…).exists()"
        )
        arguments: list[Argument] = [field.bloom.area, field.mark(1), field.mark(2)]
        call = ScriptCall(FILL, field._keys(model_class), arguments)
        # Of several shards each has a filter of its own: the fullest one errs most often.
        shards = yield from field.asking(model_class._meta, [call])
        return float(max((bits for (bits,) in shards), default=0) / field.bloom.bits)

    def _keys(self, model_class: Any) -> list[str]:
        key = self.key_of(model_class._meta.model_name)
        return [key, str(self.keys_beside(key)[0])]
