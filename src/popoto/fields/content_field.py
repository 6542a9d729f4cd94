"""`ContentField`: a text of any length, kept in a content store beside the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, cast, overload

from popoto.engine.codec import DecodeError, EncodeError, Stored
from popoto.engine.request import Call, Plan
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException, StoredDataError
from popoto.fields.coercion import CoercionError
from popoto.fields.content.collecting import collect
from popoto.fields.content.forgetting import forget_contents
from popoto.fields.content.naming import content_key
from popoto.fields.content.references import (
    PREFIX,
    ContentReference,
    LookAlike,
    Unstored,
    decode_text,
    encode_text,
    refers,
)
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.forgetting import Subject, Trace, nothing
from popoto.fields.keeping.stand_in import StandIn
from popoto.fields.unindexed_field_mixin import UnindexedFieldMixin
from popoto.stores.abstract import AbstractContentStore, check_store
from popoto.stores.default import get_default_store, set_default_store

__all__ = ["ContentField", "ContentReference", "get_default_store", "set_default_store"]


class ContentField(UnindexedFieldMixin[str], Field[str]):
    """A text that may be long. The record holds a reference, a content store the text.

    Keywords besides those of `Field`:

    `store`  an `AbstractContentStore`; by default ("filesystem" or None) the process's
             default store, looked up at each use, see `popoto.configure`

    A save hands a changed text to the store first and then writes the record, so a record
    never refers to what is not there. What a refused or failed save leaves in the store
    is removed by `garbage_collect`, like the texts of deleted records. An unchanged text
    is not stored again; None and "" need no store.

    A text is loaded at the first access of the attribute and kept on the instance. Only that
    access raises when the store does not have it any more: FileNotFoundError. ``values()``
    gives the reference and does not ask the store. There are no lookups.

    Costs no command; one call of the store for each text that is saved or first read. The
    asyncio methods make it in a worker thread. An attribute is read in the thread of the
    caller: `async_preload` first where that would take too long.
    """

    @property
    def is_orderable(self) -> bool:
        return False  # its text is elsewhere

    option_defaults: ClassVar[dict[str, Any]] = {"null": True}
    values_are = "content"
    has_no_lookups = "is kept in a content store and has no lookups"
    prepares = True

    def __init__(
        self, store: AbstractContentStore | str | None = "filesystem", **options: Any
    ) -> None:
        options["type"] = str
        self._store: Any = None if store == "filesystem" else store
        super().__init__(**options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        if isinstance(self._store, str):
            raise ModelException(
                f"ContentField(store={self._store!r}): give a content store, or 'filesystem' "
                "for the default one"
            )
        check_store(self._store, f"{type(self).__name__}(store=…)")

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"content"}

    def takes_type(self, wanted: type) -> bool:
        return wanted is str

    @property
    def store(self) -> AbstractContentStore:
        """The store in use: the field's own, else the default one."""
        return get_default_store() if self._store is None else self._store

    @property
    def _cache(self) -> str:
        return f"_content_cache_{self.name}"

    # Stored form ----------------------------------------------------------------

    def codec(self) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
        return self._encoded, self._decoded

    def _encoded(self, value: Any) -> bytes:
        if not value or refers(value):
            return encode_text(value)
        found = Unstored(encode_text(value))
        found.text = value
        return found

    def _decoded(self, raw: bytes) -> str | None:
        text = decode_text(raw)
        return ContentReference(text) if text and self._is_reference(text) else text

    def _is_reference(self, text: str) -> bool:
        # A store of somebody's own may lack the method.
        is_reference: Callable[[str], bool] | None = getattr(self.store, "is_reference", None)
        return text.startswith(PREFIX) or is_reference is None or is_reference(text)

    # The attribute --------------------------------------------------------------

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> str: ...
    def __get__(self, instance: Any, owner: Any = None) -> Self | str:
        if instance is None:
            return self
        values: dict[str, Any] = instance.__dict__
        value = self.settled_value(instance)
        if isinstance(value, str):
            if not refers(value):
                return str(value)
            if self._cache not in values:
                values[self._cache] = self.text_of_reference(value, instance._redis_key)
            value = values[self._cache]
        return cast("str", value)

    def __set__(self, instance: Any, value: str | None) -> None:
        values: dict[str, Any] = instance.__dict__
        values[self.name] = self.assigned_value(instance, value)
        values.pop(self._cache, None)

    def __delete__(self, instance: Any) -> None:
        """Forget what was assigned or loaded, as for other fields."""
        values: dict[str, Any] = instance.__dict__
        values.pop(self._cache, None)
        try:
            del values[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def assigned_value(self, instance: Any, value: Any) -> Any:
        if type(value) is str and value.startswith(PREFIX):
            return LookAlike(value)
        return value

    def settled_value(self, instance: Any) -> Any:
        """What the instance's dictionary holds: a text, a reference, or None."""
        values: dict[str, Any] = instance.__dict__
        if self.name not in values:
            # Something has made it void, and with it the text that was loaded.
            values.pop(self._cache, None)
            values[self.name] = self._read_stored(instance)
        return values[self.name]

    def _read_stored(self, instance: Any) -> Any:
        raw = instance._stored.get(self.name)
        if raw is None:
            return self.assigned_value(instance, self.make_default())
        try:
            return self.decode(raw)
        except DecodeError as error:
            raise StoredDataError(
                f"{self.label} of record {instance._redis_key!r} holds bytes that are no "
                f"reference to content: {error}. Assign a text and save, or repair the hash."
            ) from error

    def text_of_reference(self, reference: str, key: str | None) -> str:
        """The text behind a reference that the record `key` holds.

        Raises FileNotFoundError where the store does not have it, StoredDataError where it
        is no text.
        """
        try:
            content = self.store.load(str(reference))
        except (FileNotFoundError, ValueError) as error:
            raise FileNotFoundError(
                f"Content file missing: {self.label} of record {key!r} refers to "
                f"{str(reference)!r}, and the store does not have it ({error}). Assign a text and "
                "save to repair the record."
            ) from error
        try:
            return bytes(content).decode("utf-8")
        except UnicodeDecodeError as error:
            raise StoredDataError(
                f"{self.label} of record {key!r}: the content of "
                f"{str(reference)!r} is no UTF-8 text: {error}"
            ) from error

    def self_contained(self, value: Any, key: str) -> Any:
        return self.text_of_reference(value, key) if isinstance(value, ContentReference) else value

    async def async_preload(self, *instances: Any) -> None:
        """Load the texts of these instances in worker threads, so that access does not block.

        Raises as the access would. ``await Note.body.async_preload(*notes)``
        """
        for instance in instances:
            await arun(_preloading(self, instance))

    # Collecting -----------------------------------------------------------------

    @classmethod
    def garbage_collect(cls, model_class: Any, min_age_seconds: float = 300) -> int:
        """Remove files that no record refers to; the number of files removed.

        Looks at the files of `model_class`, and at the archive of earlier versions, in the
        `FilesystemStore` of its fields; other stores are left alone. Files younger than
        `min_age_seconds` stay: a save stores the text before the record. It must be longer than
        a save takes, and than a caller's pipeline waits.

        A directory must belong to one database, the one that popoto is connected to: the
        contents of another one's records would look unused. Raises ModelException for a
        model without ContentField.

        Reads the files concerned, and all records of the models that have files here (one
        round trip for some 500).
        """
        return run(collect(model_class._meta.model_name, _stores_of(model_class), min_age_seconds))

    @classmethod
    async def async_garbage_collect(cls, model_class: Any, min_age_seconds: float = 300) -> int:
        """`garbage_collect` for asyncio; files are read in worker threads."""
        return await arun(
            collect(model_class._meta.model_name, _stores_of(model_class), min_age_seconds)
        )

    # Checks ---------------------------------------------------------------------

    def coerce(self, value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            raise CoercionError("content is text; decode the bytes, or keep them in a BytesField")
        return super().coerce(value)

    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if isinstance(value, str) and refers(value):
            return None
        return super().problem(value, null_check=null_check)

    # Saving ---------------------------------------------------------------------

    def unprepared(
        self, instance: Any, encoded: Stored | None, commit: Commit, *, is_held: bool
    ) -> Unstored | None:
        if encoded is None or isinstance(encoded, Unstored):
            return encoded
        return None if is_held else self._unstored_again(instance)

    def _unstored_again(self, instance: Any) -> Unstored | None:
        """The text behind the reference that an instance holds, if it is at hand.

        It may have been collected since.
        """
        values: dict[str, Any] = instance.__dict__
        if self._cache not in values or not isinstance(values.get(self.name), ContentReference):
            return None
        return cast("Unstored", self._encoded(self.assigned_value(instance, values[self._cache])))

    def prepare(self, wanted: Sequence[tuple[Any, StandIn]]) -> Plan[list[bytes]]:
        """Hand texts to the store; the stored forms of their references."""
        stored: list[bytes] = []
        for instance, each in wanted:
            stored.append((yield from self._stored_in_store(instance, each)))
        return stored

    def _stored_in_store(self, instance: Any, wanted: StandIn) -> Plan[bytes]:
        store = self.store
        content = cast("Unstored", wanted).text.encode("utf-8")
        key, model_name = content_key(instance._meta, instance, self.name), self.model_name
        reference: object = yield Call(
            lambda: store.save(content, key=key, model_class_name=model_name)
        )
        if not isinstance(reference, str) or not reference:
            raise ModelException(
                f"{self.label}: {type(store).__name__}.save() returned {describe(reference)}, "
                "which is no reference; nothing was written"
            )
        try:
            return encode_text(str(reference))
        except EncodeError as error:
            raise ModelException(
                f"{self.label}: {type(store).__name__}.save() returned a reference that cannot be "
                f"stored ({error}); nothing was written"
            ) from error

    def forgetting(self, subject: Subject) -> Plan[Mapping[str, Trace]]:
        options: Any = self.owner._meta
        # One for all of a model: they share stores.
        return forget_contents(options, subject) if options.content_fields[0] is self else nothing()

    def settle(self, instance: Any, wanted: StandIn, stored: bytes) -> None:
        """Let the instance hold the reference, unless another text was assigned meanwhile."""
        text = cast("Unstored", wanted).text
        values: dict[str, Any] = instance.__dict__
        now = values.get(self.name)
        if now == text or isinstance(now, ContentReference):
            values[self.name] = ContentReference(decode_text(stored))
            values[self._cache] = str(text)

    def unready(self, encoded: Stored) -> str | None:
        return "is kept in a content store" if isinstance(encoded, Unstored) else None


def _stores_of(model: Any) -> list[AbstractContentStore]:
    fields: list[ContentField] = model._meta.listed("content")
    if not fields:
        raise ModelException(f"{model.__name__} has no ContentField")
    return [field.store for field in fields]


def _preloading(field: ContentField, instance: Any) -> Plan[None]:
    value = field.settled_value(instance)
    values: dict[str, Any] = instance.__dict__
    if isinstance(value, str) and refers(value) and field._cache not in values:
        text = yield Call(lambda: field.text_of_reference(value, instance._redis_key))
        if values.get(field.name) is value:
            values[field._cache] = text
