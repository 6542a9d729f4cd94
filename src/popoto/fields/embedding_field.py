"""`EmbeddingField`: a vector of another field's text, for search by meaning."""

from __future__ import annotations

import os  # noqa: F401  # pyright: ignore[reportUnusedImport]  # who used 1.6 patches it here
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast

from popoto import clock
from popoto._stock import stock
from popoto.embeddings.abstract import LateInteractionProvider, check_provider
from popoto.embeddings.default import get_default_provider, set_default_provider
from popoto.engine import keys
from popoto.engine.batch import Batch
from popoto.engine.codec import NIL, DecodeError, Stored
from popoto.engine.keys import text_of
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.exceptions import ModelException
from popoto.fields.field import Field
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.entries import CompanionEntry, Entry
from popoto.fields.keeping.families import KeyFamily, companion_family
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.keeping.proposals import ProposalEntry, pending_family
from popoto.fields.keeping.renewing import Renewal
from popoto.fields.keeping.stand_in import StandIn
from popoto.fields.keywords import unknown_source
from popoto.fields.vectors.by_word import WordKeeper
from popoto.fields.vectors.catching_up import embed_records
from popoto.fields.vectors.embedding import Embedded, Unembedded, Unvectored
from popoto.fields.vectors.housekeeping import (
    directory_of,
    expected_files,
    index_path,
    read_index,
    write_index,
)
from popoto.fields.vectors.in_files import FileKeeper, embeddings_directory, forget_directories
from popoto.fields.vectors.keeper import Described, Place, VectorKeeper
from popoto.fields.vectors.nearness import Nearness
from popoto.fields.vectors.noticing import Marking, lost_vectors
from popoto.fields.vectors.of_models import VectorsOfModels
from popoto.fields.vectors.on_server import ServerKeeper, forget_followed
from popoto.fields.vectors.preparing import Preparing, is_of, text_at_hand
from popoto.memory.vectors.arrays import FORMS, HAS_NUMPY
from popoto.memory.vectors.files import legacy_name, vector_name

__all__ = ["EmbeddingField", "get_default_provider", "invalidate_cache", "set_default_provider"]

_numpy_available = HAS_NUMPY
_KEEPERS: dict[str, type[VectorKeeper]] = {"files": FileKeeper, "server": ServerKeeper}


class EmbeddingField(VectorsOfModels, Field[int]):
    """A vector of the text in another field, made by an embedding provider at each change.

    The value is the number of dimensions of the record's vector; None: it has none. The vectors
    are kept beside the records, and `Model.query.semantic_search` compares them with a question.

    `source`      the name of the field with the text; a `ContentField` will do
    `provider`    an `AbstractEmbeddingProvider`; by default the process's, see `popoto.configure`
    `auto_embed`  False: saves leave vectors alone
    `cache`       False: each search reads all vectors anew and keeps none in memory
    `store`       "files": on this host, where popoto 1.6 keeps them. "server": with the records
    `precision`   how vectors on the server are packed: "float32", "float16" or "int8"
    `on_failure`  what a save does when the provider fails. "raise" (the default for files): nothing
                  is written, RuntimeError. "save" (the default on the server): the record is saved
                  without a vector, and `embed_missing` makes it later
    `search`      how `semantic_search` finds the nearest. "exact": every vector is compared.
                  "approximate": by an index of neighbours in memory, for which usearch is needed
                  (``pip install 'popoto[usearch]'``). "auto": so from `approximate_from` vectors
                  on, if usearch is installed. "server": a vector set on the server (Redis 8)
                  names them, and this process keeps no vectors; "exact" where there are none
    `late_interaction`  whether the vectors of words are kept, too, by which `recall` compares its
                  best candidates with a question word by word. None: where the provider makes
                  them (a `LateInteractionProvider`). 48 bytes for each telling word of a text, at
                  384 dimensions

    A save calls the provider if the text is a new one, or the record has no vector; bulk writes
    do so for many texts at a time. The vector goes with its record. A partial save embeds only if
    it names this field; one that changes just the text leaves it to `embed_missing`.
    Raises ValueError for vectors that are not as long as the provider says, and
    `VectorMismatchError` where another model has made those that are stored. Needs NumPy
    (``pip install 'popoto[embeddings]'``).
    """

    option_defaults: ClassVar[dict[str, Any]] = {"type": int, "null": True}
    prepares = True
    is_present = True

    def __init__(
        self,
        source: str | None = None,
        provider: Any = None,
        auto_embed: bool = True,
        cache: bool = True,
        *,
        store: Literal["files", "server"] = "files",
        precision: str = "float32",
        on_failure: Literal["raise", "save"] | None = None,
        search: Literal["exact", "approximate", "auto", "server"] = "exact",
        approximate_from: int = 50_000,
        late_interaction: bool | None = None,
        **options: Any,
    ) -> None:
        if not _numpy_available:
            raise ImportError("EmbeddingField needs NumPy: pip install 'popoto[embeddings]'")
        options["type"] = int
        self.source = source
        self._provider = provider
        self.auto_embed = auto_embed
        self.cache_enabled = cache
        self.store = store
        self.follows = store == "files"
        self.precision = precision
        self.nearness = Nearness(search, approximate_from, bool(cache), store, precision)
        self.late_interaction = late_interaction
        self.on_failure = on_failure or ("raise" if store == "files" else "save")
        super().__init__(**options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        kind = type(self).__name__
        if self.source is not None and not isinstance(self.source, str):
            raise ModelException(f"{kind}(source={self.source!r}): give the name of a field")
        if self.store not in _KEEPERS:
            raise ModelException(
                f"{kind}(store={self.store!r}): vectors are kept in 'files' or on the 'server'"
            )
        if self.precision not in FORMS or (self.store == "files" and self.precision != "float32"):
            raise ModelException(
                f"{kind}(precision={self.precision!r}): vectors on the server are one of "
                f"{', '.join(FORMS)}; in files they are float32"
            )
        if self.on_failure not in ("raise", "save"):
            raise ModelException(f"{kind}(on_failure={self.on_failure!r}): 'raise' or 'save'")
        self.nearness.check(kind)
        check_provider(self._provider, f"{kind}(provider=…)")

    def without_effect(self, model: Any) -> Iterator[str]:
        source = self.source
        if source is not None and source not in model._meta.by_name and not hasattr(model, source):
            yield unknown_source(self.label, source, model)

    def bind(self, model_name: str, name: str) -> None:
        super().bind(model_name, name)
        self.missing_key = keys.SEPARATOR.join(("$EmbeddingF", model_name, name, "missing"))
        self._keeper: VectorKeeper | None = None

    # What it is -----------------------------------------------------------------

    @property
    def registries(self) -> frozenset[str]:
        found = super().registries | {"embedding"}
        return found | {"compared"} if self.store == "server" else found

    @property
    def provider(self) -> Any:
        """Who embeds: the field's own provider, else the process's; None while there is none."""
        return self._provider if self._provider is not None else get_default_provider()

    @property
    def keeper(self) -> VectorKeeper:
        """Who keeps the vectors."""
        if self._keeper is None:
            options: Any = self.owner._meta
            place = Place(
                self.model_name,
                self.name,
                options.shard,
                options.listed("embedding")[0].name == self.name,
                bool(self.cache_enabled),
                self.nearness.from_how_many(),
                self.nearness.is_named,
            )
            self._keeper = _KEEPERS[self.store](place, self.precision)
        return self._keeper

    def keeper_in(self, shard: str) -> VectorKeeper:
        """Who keeps the vectors of one shard's records."""
        own = self.keeper
        if shard == own.place.shard:
            return own
        return _KEEPERS[self.store](replace(own.place, shard=shard), self.precision)

    def words_in(self, shard: str) -> WordKeeper:
        """Who keeps the vectors of the words of one shard's records."""
        return WordKeeper(self.model_name, self.name, shard)

    @property
    def words(self) -> WordKeeper:
        """Who keeps the vectors of words."""
        return self.words_in(self.owner._meta.shard)

    @property
    def tells_words(self) -> bool:
        """Whether the provider is asked for the vectors of words."""
        return self._has_words and isinstance(self.provider, LateInteractionProvider)

    # What is kept ---------------------------------------------------------------

    @property
    def deciding_names(self) -> tuple[str, ...]:
        # The number of dimensions says nothing of the vector.
        return super().deciding_names if self.keeps_value_sets else ()

    @property
    def makes_entries(self) -> bool:
        return True

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        own = super().entries(key, values) if self.keeps_value_sets else ()
        missing = CompanionEntry(self.missing_key, key, f"{self.name}:missing", "zset")
        words = (self.words.entry(key),) if self._has_words else ()
        kept = (*self.keeper.entries(key), ProposalEntry.of(self.model_name, key))
        return (*own, missing, *words, *kept)

    def key_families(self) -> Sequence[KeyFamily]:
        missing = companion_family(self.name, self.missing_key, "zset", is_open=False)
        families = (*super().key_families(), missing, pending_family(self.model_name))
        words = (self.words.family(),) if self._has_words else ()
        return (*families, *self.keeper.families(), *words)

    def misindexed(self, records: Sequence[Any]) -> Plan[list[tuple[str, bool]]]:
        lost = yield from lost_vectors(self, records)
        return [(key, False) for key in lost]

    def rebuilding(self, model_name: str, shard: str) -> Renewal | None:
        # Files are on this machine alone; which are not there is no fact of the model.
        return Marking(self, shard) if self.store == "server" else None

    def forgetting(self, subject: Subject) -> Plan[Mapping[str, Trace]]:
        return {"vectors": (yield from self.keeper_in(subject.shard).forgetting(subject))}

    def _dimensions_of(self, stored: bytes) -> Any:
        """How many numbers the vector has, by the record; 0 where that cannot be read."""
        try:
            return self.decode(stored)
        except DecodeError:
            return 0

    # Saving ---------------------------------------------------------------------

    def unprepared(
        self, instance: Any, encoded: Stored | None, commit: Commit, *, is_held: bool
    ) -> Unembedded | None:
        provider, source = self.provider, self.source
        if not self.auto_embed or not source or provider is None:
            return None
        text = text_at_hand(instance, source)
        stored: Any = commit.known.get(self.name)
        dimensions = None if stored is None else self._dimensions_of(stored)
        task = "embed"
        if text is None or text == "":
            task = "clear"
            if stored is not None and dimensions is None:
                return None
        elif commit.update_fields is None and is_of(provider, dimensions):
            changed = commit.changed.get(source)
            if changed is None or changed == commit.known.get(source):
                task = "keep"
        wanted = Unembedded(f"{task}\0{commit.key}\0{text}".encode("utf-8", "surrogatepass"))
        wanted.key, wanted.task, wanted.dimensions = commit.key, task, dimensions
        wanted.old_key = commit.old_key
        wanted.is_stored = stored is not None
        wanted.held = stored if stored is not None else cast("bytes", encoded or NIL)
        return wanted

    def prepare(self, wanted: Sequence[tuple[Any, StandIn]]) -> Plan[list[bytes]]:
        return self._preparing().plan(cast("Sequence[tuple[Any, Unembedded]]", wanted))

    def _preparing(self, shard: str | None = None) -> Preparing:
        return Preparing(
            self.label,
            self.source or "",
            self.provider,
            self.keeper if shard is None else self.keeper_in(shard),
            self.on_failure == "save",
            self.tells_words,
        )

    def settle(self, instance: Any, wanted: StandIn, stored: bytes) -> None:
        # Without the vector, which is not the instance's.
        instance._stored[self.name] = bytes(stored)
        vars(instance)[self.name] = self.decode(bytes(stored))

    def on_commit(self, instance: Any, batch: Batch, commit: Commit) -> None:
        if commit.operation == "delete":
            return
        stored = commit.changed.get(self.name)
        if isinstance(stored, Embedded):
            self.put(batch, commit.key, stored, is_new=commit.operation == "create")
            return
        is_missing = self._is_left_out(instance, commit)
        if isinstance(stored, Unvectored):
            is_missing = stored.is_missing
            self._take(batch, commit.key)
        elif commit.operation == "create":
            self._take(batch, commit.key)
        if is_missing:
            batch.put("ZADD", self.missing_key, clock.now(), commit.key)

    def put(self, batch: Batch, key: str, found: Embedded, *, is_new: bool = False) -> None:
        """Queue what belongs to a vector, and that it is not missing any more."""
        self.keeper.put(batch, key, found.vector, found.described)
        if self._has_words:
            self.words.put(batch, key, found.words)
        if not is_new:
            batch.put("ZREM", self.missing_key, key)

    def clear(self, batch: Batch, key: str) -> None:
        """Queue that a record has no vector, and is to have none."""
        self._take(batch, key)
        batch.put("ZREM", self.missing_key, key)

    def _take(self, batch: Batch, key: str) -> None:
        """Queue that a record has no vector, and none of words."""
        self.keeper.take(batch, key)
        if self._has_words:
            self.words.take(batch, key)

    @property
    def _has_words(self) -> bool:
        """Whether records may have words, this process's or another one's."""
        return self.late_interaction is not False

    def begin_anew(self, owner: Any, options: Any, described: Described) -> Plan[None]:
        """Drop all vectors of a shard, those of words first; those to come are made with this."""
        if self._has_words:
            yield from self.words_in(options.shard).begin_anew(owner, options)
        yield from self.keeper_in(options.shard).begin_anew(owner, options, described)

    def lacking(self, record_keys: Sequence[str], shard: str) -> Plan[set[str]]:
        """Those of these records that have no vector, or no words where they are to have some."""
        found = set((yield from self.keeper_in(shard).lacking(record_keys)))
        if self.tells_words:
            found.update((yield from self.words_in(shard).lacking(record_keys)))
        return found

    def _is_left_out(self, instance: Any, commit: Commit) -> bool:
        """Whether a commit writes a text that should have another vector, and is not given it."""
        source = self.source
        if not self.auto_embed or not source or source not in commit.changed:
            return False
        if commit.changed[source] == commit.known.get(source):
            return False
        # Of a text that goes the vector has to go.
        return commit.operation == "update" or text_at_hand(instance, source) not in (None, "")

    def follow(self, moved: Sequence[tuple[str, str | None]]) -> Plan[None]:
        return self.keeper.follow(moved)

    def precede(self, moving: Sequence[tuple[str, str]]) -> Plan[None]:
        return self.keeper.precede(moving)

    def put_back(self, replaced: Mapping[str, Any]) -> Plan[None]:
        return self.keeper.put_back(replaced)

    # Catching up ----------------------------------------------------------------

    def marked(self, shard: str) -> Plan[list[str]]:
        """The records of a shard whose text is waiting for a vector."""
        (found,) = yield from looked_up([("ZRANGE", self.missing_key, 0, -1)], shard)
        return [text_of(key) for key in found]

    def embed(self, instances: Sequence[Any], *, are_marked: bool) -> Plan[int]:
        """Give these stored records of one shard vectors of their texts; how many have one now.

        A record that is gone, or whose text has changed meanwhile, is left to who did that.
        """
        if self.provider is None or not self.source:
            return 0
        preparing = self._preparing(instances[0]._meta.shard if instances else None)
        return (yield from embed_records(self, preparing, instances, are_marked=are_marked))

    @classmethod
    def _embedding_path(cls, model_class_name: str, redis_key: str) -> str:
        return directory_of(model_class_name).at(vector_name(redis_key))

    @classmethod
    def _legacy_embedding_path(cls, model_class_name: str, redis_key: str) -> str:
        return directory_of(model_class_name).at(legacy_name(redis_key))


# Names of popoto 1.6 ----------------------------------------------------------------------------

_get_embeddings_dir = embeddings_directory
_index_path = index_path
_read_index = read_index
_write_index = write_index
_compute_expected_keep = expected_files


def invalidate_cache(model_class_name: str | None = None) -> None:
    """Forget the vectors that are in memory, of the models of this name, or of all."""
    forget_directories(model_class_name)
    forget_followed(model_class_name)
