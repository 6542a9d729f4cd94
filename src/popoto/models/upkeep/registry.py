"""Every kind of key that belongs to a model: the one list that check, clean and rebuild walk."""

from __future__ import annotations

from collections.abc import Iterator

from popoto.engine import keys
from popoto.engine.outcome import wrong_kind
from popoto.engine.request import Plan, Request
from popoto.fields.keeping.families import CompanionFamily, KeyFamily, Layout
from popoto.memory.history.noting import history_key
from popoto.models.record.options import ModelOptions

#: What popoto's own index fields call their keys. A key under one of these names that no
#: field of the model keeps is left from an earlier definition of the model.
_INDEX_PREFIXES = frozenset(
    {
        *("$KeyF", "$UniqueKeyF", "$IndexF", "$UniquF", "$RelationshipF"),
        *("$SortF", "$SortedKeyF", "$DecayingSortF", "$CyclicDecayF", "$GeoF", "$Index"),
        *("$DecayBase", "$WF"),
    }
)
#: The same of what was learned of records. Nothing else tells it, so a rebuild lets those have it
#: that are there: whoever still has the field would miss it.
_LEARNED_LAYOUTS: dict[str, Layout] = {
    "$ConfidencF": "names",
    "$CoOccurrencF": "zset",
    "$CoOccurrenceIn": "set",
    "$PL": "names",
    "$RP": "zset",
}
_LEARNED_SUFFIXES = (":cycles", ":pressure")
#: The same of keys that end with the key of a record.
_OWN_KEYS = frozenset({"$AT", "$PL", "$CoOccurrencF", "$CoOccurrenceIn"})
#: The same of keys that hold no record keys.
_WHOLE_PREFIXES = frozenset({"$BM25", "$EF", "$EmbeddingF", "$FS"})
_LAYOUTS: tuple[Layout, ...] = ("set", "zset", "hash")
#: Stands for a record key where the keys of its companions are asked for.
_PLACEHOLDER = "\0"


class Registry:
    """The families of keys of one model."""

    def __init__(self, options: ModelOptions) -> None:
        self.model_name = options.model_name
        self.key_length = options.db_key_length
        found = (*_own_families(options), *options.key_families())
        # Several fields may name one family.
        self.families: list[KeyFamily] = list(dict.fromkeys(found))
        self.companions = list(_companion_families(options))
        #: whether records may have keys that begin like theirs
        self.has_keys_among_records = bool(options.pointed_names) or any(
            family.prefix == "" for family in self.companions
        )
        self.text_fields = [
            (family.stem + keys.SEPARATOR, *family.text_lists)
            for family in self.families
            if family.text_lists is not None
        ]

    def candidates(self, key: str) -> tuple[KeyFamily, ...]:
        """The families that a key may belong to; its type decides between several."""
        found = tuple(family for family in self.families if family.holds(key))
        return found or self._abandoned(key)

    def _abandoned(self, key: str) -> tuple[KeyFamily, ...]:
        """The families of an index key that no field keeps any more; none for other keys."""
        parts = key.split(keys.SEPARATOR, 3)
        if len(parts) < 3 or parts[1] != self.model_name:
            return ()
        if learned := self._learned(key, parts):
            return (learned,)
        layouts = _LAYOUTS if parts[0] in _INDEX_PREFIXES else ()
        if parts[0] in _WHOLE_PREFIXES:
            layouts = ("whole",)
        name = keys.SEPARATOR.join(parts[:3])
        return tuple(
            KeyFamily("abandoned_indexes", name, key, layout, derived=False) for layout in layouts
        )

    def _learned(self, key: str, parts: list[str]) -> KeyFamily | None:
        """The family of what was learned by a field that the model does not have any more."""
        layout = _LEARNED_LAYOUTS.get(parts[0])
        if parts[0] == "$CyclicDecayF" and key.endswith(_LEARNED_SUFFIXES):
            layout = "names"
        elif parts[0] == "$PL" and parts[2] == "errors":
            layout = "zset"
        elif parts[0] == "$RP" and parts[2] != "pending":
            layout = None
        if layout is None:
            return None
        name = keys.SEPARATOR.join(parts[:3])
        return KeyFamily(
            "abandoned_indexes",
            name,
            key,
            layout,
            derived=False,
            of_companions=True,
            foreign=parts[0].startswith("$CoOccurren"),
        )

    def companion_of(self, key: str) -> str | None:
        """The key of the record that a key of its own belongs to, or None."""
        for family in self.companions:
            record = family.record_of(key)
            if record is not None and record.startswith(self.model_name + keys.SEPARATOR):
                return record
        pointer = keys.pointer(key)
        if pointer is not None:
            return pointer[0] if self.is_record_key(pointer[0]) else None
        parts = key.split(keys.SEPARATOR, 3)
        is_ours = len(parts) == 4 and parts[0] in _OWN_KEYS and parts[1] == self.model_name
        return parts[3] if is_ours and self.is_record_key(parts[3]) else None

    def former_list_of(self, key: str) -> str | None:
        """The key of the record whose list this may be, of a field that is no capped list now.

        That it holds a list is for the caller to see: the key may be another program's.
        """
        found = keys.capped_list(key)
        if found is None or not self.is_record_key(found[0]) or self.is_record_key(key):
            return None
        return found[0]

    def is_record_key(self, key: str) -> bool:
        """Whether a key has the shape of a record's."""
        parts = key.split(keys.SEPARATOR)
        return len(parts) == self.key_length and parts[0] == self.model_name

    def is_of_model(self, key: str) -> bool:
        """Whether a key stands beside the records: ``$…:Model`` or ``$…:Model:…``."""
        parts = key.split(keys.SEPARATOR, 2)
        return len(parts) > 1 and parts[0].startswith("$") and parts[1] == self.model_name


def check_own_keys(options: ModelOptions) -> Plan[None]:
    """Raise ModelException where another program uses a key that the model needs for itself."""
    expected = {
        options.class_set_key: "set",
        keys.record_keys_key(options.model_name): "zset",
        options.expiry_key: "zset",
        options.expiry_values_key: "hash",
        keys.values_coverage_key(options.model_name): "hash",
    }
    kinds: list[bytes] = yield Request(
        [("TYPE", key) for key in expected], options.shard, repeatable=True
    )
    for (key, kind), found in zip(expected.items(), kinds, strict=True):
        if found not in (b"none", kind.encode("ascii")):
            raise wrong_kind(key, found.decode("ascii", "replace"), kind)


def _own_families(options: ModelOptions) -> Iterator[KeyFamily]:
    """What the model itself keeps."""
    yield KeyFamily("class_set", "", options.class_set_key, "set")
    ordered = keys.record_keys_key(options.model_name)
    yield KeyFamily("", "", ordered, "zset", derived=False)
    yield KeyFamily("", "", options.expiry_key, "zset", derived=False)
    yield KeyFamily("", "", options.expiry_values_key, "names", derived=False)


def _companion_families(options: ModelOptions) -> Iterator[CompanionFamily]:
    """Keys of their own that records have, as fields and mixins name them.

    Histories among them even where the model keeps none any more.
    """
    histories = history_key(options.model_name, _PLACEHOLDER)
    kept = [key for field in options.by_name.values() for key in field.kept_keys(_PLACEHOLDER)]
    for key in dict.fromkeys((*options.companion_keys(_PLACEHOLDER), *kept, histories)):
        prefix, found, suffix = key.partition(_PLACEHOLDER)
        if found:
            yield CompanionFamily(prefix, suffix)
