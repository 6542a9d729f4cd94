"""Every public read of every feature, tried with another agent's identifiers: it finds nothing.

What there is to be tried is asked of the classes themselves, so no read of tomorrow is forgotten:
it belongs to `READS`, or to `NO_READS` with what it is instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    BM25Field,
    ConfidenceField,
    ContextAssembler,
    EmbeddingField,
    Field,
    Model,
    ObservationProtocol,
    QueryException,
    RecallProposal,
    RetrievalQuality,
    explain_confidence,
    recipes,
)
from popoto.exceptions import ModelException, UnsavedError
from popoto.fields.embedding_field import invalidate_cache
from popoto.recipes import AdaptiveAssembler, SubconsciousMemory
from popoto.stores.default import set_default_store
from tests.driver import Api, expires_fields
from tests.erasing.models import ANN, BOB, Memory, lived

KEY = f"Memory:{BOB}.0"
#: Words of Bob's records alone.
WORDS = f"{BOB} says"
REFUSED = (QueryException, UnsavedError)
NOTHING: tuple[Any, ...] = (None, False, 0, [], {}, (), "", set())


def forged() -> Memory:
    """Of Ann's, with the key of a record of Bob's."""
    return Memory(name=f"{BOB}.0", agent=ANN)


Read = Callable[[Api, Any], Any]


def looked_at(name: str) -> Read:
    """An attribute, and its asyncio twin."""

    def read(api: Api, instance: Any) -> Any:
        if api.is_async:
            return api.run(getattr(instance, f"async_{name}")())
        return getattr(instance, name)

    return read


#: Of an instance that has a key of Bob's, and never was read under it.
OF_INSTANCES: dict[str, Read] = {
    "Model.refresh": lambda api, memory: api(memory.refresh),
    "Model.history": lambda api, memory: api(memory.history),
    "Model.remaining_ttl": lambda api, memory: api(memory.remaining_ttl),
    "Model.field_ttl": lambda api, memory: api(memory.field_ttl, "body"),
    "Model.access_count": looked_at("access_count"),
    "Model.last_accessed": looked_at("last_accessed"),
    "Model.confirm_access": lambda api, memory: api(memory.confirm_access),
    "Model.bulk_confirm_access": lambda api, memory: api(Memory.bulk_confirm_access, [memory]),
    "Model.get_prediction_data": lambda api, memory: api(Memory.get_prediction_data, memory),
    "Model.resolve_prediction": lambda api, memory: api(Memory.resolve_prediction, memory, 1),
    "Model.auto_resolve": lambda api, memory: api(Memory.auto_resolve, memory, "acted"),
    "ConfidenceField.get_confidence": lambda api, memory: api(
        ConfidenceField.get_confidence, memory, "sure"
    ),
    "ConfidenceField.get_confidence_data": lambda api, memory: api(
        ConfidenceField.get_confidence_data, memory, "sure"
    ),
    "ConfidenceField.update_confidence": lambda api, memory: api(
        ConfidenceField.update_confidence, memory, "sure", 0.5
    ),
    "ConfidenceField.bulk_update_confidence": lambda api, memory: api(
        ConfidenceField.bulk_update_confidence, [(memory, 0.5)], "sure"
    ),
    "RetrievalQuality.from_records": lambda api, memory: api(
        RetrievalQuality.from_records, [memory]
    ),
    "RecallProposal.resolve": lambda api, memory: api(RecallProposal.resolve, memory, "acted"),
    "explain_confidence": lambda api, memory: (
        api.run(popoto.async_explain_confidence(memory, "sure"))
        if api.is_async
        else explain_confidence(memory, "sure")
    ),
}
#: Of the model, with keys and words of Bob's.
OF_THE_MODEL: dict[str, Read] = {
    "Model.load": lambda api, _: api(Memory.load, KEY),
    "Model.get_or_create": lambda api, _: api(Memory.get_or_create, name=f"{BOB}.0"),
    "Model.update_or_create": lambda api, _: api(Memory.update_or_create, name=f"{BOB}.0"),
    "Model.bulk_update": lambda api, _: api(
        Memory.bulk_update, Memory.query.filter(name=f"{BOB}.0"), rank=1
    ),
    "Model.bulk_delete": lambda api, _: api(
        Memory.bulk_delete, Memory.query.filter(name=f"{BOB}.0", agent=ANN)
    ),
    "Model.raw_update": lambda api, _: api(Memory.raw_update, [KEY], text="x"),
    "Model.get_highest_errors": lambda api, _: api(Memory.get_highest_errors, Memory),
    "Model.error_summary": lambda api, _: api(Memory.error_summary, Memory),
    "ConfidenceField.get_confidence_filtered": lambda api, _: api(
        ConfidenceField.get_confidence_filtered, Memory, "sure"
    ),
    "CoOccurrenceField.get_linked": lambda api, _: api(Memory.links.get_linked, Memory, KEY),
    "CoOccurrenceField.propagate": lambda api, _: api(Memory.links.propagate, Memory, [KEY]),
    "BM25Field.search": lambda api, _: api(BM25Field.search, Memory, "all_words", WORDS),
    "BM25Field.search of ours": lambda api, _: api(
        BM25Field.search, Memory, "words", f"{BOB}", agent=ANN
    ),
    "BM25Field.get_idf": lambda api, _: api(BM25Field.get_idf, Memory, "all_words", BOB),
    "BM25Field.filter_selective_tokens": lambda api, _: api(
        BM25Field.filter_selective_tokens, Memory, "all_words", [BOB]
    ),
    "EmbeddingField.load_embeddings": lambda api, _: api(EmbeddingField.load_embeddings, Memory),
    "ExistenceFilter.might_exist": lambda api, _: api(Memory.known.might_exist, Memory, BOB),
    "ExistenceFilter.definitely_missing": lambda api, _: api(
        Memory.known.definitely_missing, Memory, BOB
    ),
    "ExistenceFilter.might_exist_batch": lambda api, _: api(
        Memory.known.might_exist_batch, Memory, [BOB]
    ),
    "ExistenceFilter.might_exist_count": lambda api, _: api(
        Memory.known.might_exist_count, Memory, [BOB]
    ),
    "ExistenceFilter.fill_ratio": lambda api, _: api(Memory.known.fill_ratio, Memory),
    "FrequencySketch.get_frequency": lambda api, _: api(Memory.often.get_frequency, Memory, BOB),
    "RecallProposal.get_pending": lambda api, _: api(RecallProposal.get_pending, Memory),
    "RecallProposal.get_pending of ours": lambda api, _: api(
        RecallProposal.get_pending, Memory, ANN
    ),
    "RecallProposal.expire_stale": lambda api, _: api(RecallProposal.expire_stale, Memory, ttl=0),
    "ContextAssembler.assemble": lambda api, _: api(assembler().assemble, {"topic": WORDS}),
    "ContextAssembler.assemble for us": lambda api, _: _of_bob(
        api(
            assembler().assemble, {"topic": WORDS, "key": KEY}, partition_filters={"agent": ANN}
        ).records
    ),
    "ContextAssembler.assess": lambda api, _: api(assembler().assess, {"topic": WORDS}),
    "AdaptiveAssembler.assemble": lambda api, _: api(
        AdaptiveAssembler(assembler()).assemble, {"topic": WORDS}
    ),
    "AdaptiveAssembler.assemble for us": lambda api, _: _of_bob(
        api(
            AdaptiveAssembler(assembler()).assemble,
            {"topic": WORDS},
            partition_filters={"agent": ANN},
        ).records
    ),
    "SubconsciousMemory.inject_context": lambda api, _: _about_bob(
        api(subconscious().inject_context, [{"role": "user", "content": WORDS}])
    ),
}


def assembler() -> ContextAssembler:
    return ContextAssembler(Memory, {"fresh": 1.0}, retrieval_mode="composite")


def subconscious() -> SubconsciousMemory:
    return SubconsciousMemory(
        Memory, ANN, {"fresh": 1.0}, agent_id_field="agent", content_field="text"
    )


def _of_bob(records: Any) -> list[Any]:
    return [record for record in records if record.agent != ANN]


def _about_bob(told: Any) -> list[Any]:
    messages, result = told
    said = [each for each in messages if each["role"] == "system" and BOB in each["content"]]
    return [*said, *_of_bob(result.records)]


#: What belongs to a class and asks for no record of it: making, writing one's own, describing,
#: upkeep (which is of all partitions), and what is tried in test_require_partition.py.
NO_READS = {
    "Model": """bulk_create bulk_touch create objects query db_key pk is_valid get_info pre_save
        to_dict obsolete_redis_key delete save touch atomic_increment expire_field renew_ttl
        resolve_pressure strengthen_cycle weaken_cycle compute_filter_score
        compute_prediction_error record_prediction discard_staged_access on_read related
        check_indexes clean_indexes rebuild_indexes delete_all erase embed_missing reembed""",
    "ConfidenceField": """get_data_hash_key get_data_hash_key_from_values get_old_data_hash_key
        migrate_to_partitioned named partition_key partition_values partitions_in""",
    "CoOccurrenceField": """bulk_link get_edge_key get_edge_key_prefix link strengthen unlink
        weaken_all spreading_signal""",
    "DecayingSortedField": """base_key companion_hashes current_value is_exact partition_key
        get_partitioned_sortedset_db_key get_sortedset_db_key partition_values partitions
        partitions_in score""",
    "CyclicDecayField": """cycles_key get_cycles_hash_key get_cycles_hash_key_from_parts
        get_pressure_hash_key get_pressure_hash_key_from_parts pressure_key""",
    "BM25Field": "document partition_values partitions_in recompute_stats stem words",
    "EmbeddingField": """begin_anew clear embed garbage_collect keeper_in lacking marked
        prepare_search put sweep_stale_tempfiles words_in""",
    "ExistenceFilter": """arguments asking fingerprint form key_of keys_beside mark measures
        put_words with_places""",
    "ContentField": "garbage_collect preload text_of_reference",
    "ListField": "value_type",
    "Relationship": "all find_model read reference target_key",
    "GeoField": "Coordinates get_geo_db_key",
    "ObservationProtocol": "on_context_used on_read on_surfaced",
    "RecallProposal": "create_batch",
    "SubconsciousMemory": "extract_memories report_outcomes",
    "AutoKeyField": "get_new_auto_key_value set_auto_key_value",
}


@pytest.fixture(autouse=True)
def _two_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    set_default_store(None)
    lived(ANN)
    lived(BOB)
    yield
    set_default_store(None)


def found_by(read: Read, api: Api, subject: Any) -> Any:
    """What a read finds; None where it is refused."""
    try:
        return read(api, subject)
    except REFUSED:
        return None


def stored_of_bob() -> dict[bytes, bytes]:
    client = popoto.POPOTO_REDIS_DB
    keys: list[bytes] = sorted(client.keys(f"*{BOB}*"))
    return {key: client.dump(key) for key in keys}


@pytest.mark.parametrize("name", OF_INSTANCES)
def test_an_instance_with_anothers_key_tells_nothing(api: Api, name: str) -> None:
    before = stored_of_bob()
    with pytest.raises(REFUSED):
        OF_INSTANCES[name](api, forged())
    assert stored_of_bob() == before


@pytest.mark.parametrize("name", OF_THE_MODEL)
def test_the_model_tells_nothing_of_another(api: Api, name: str) -> None:
    before = stored_of_bob()
    found = found_by(OF_THE_MODEL[name], api, Memory)
    assert found in NOTHING, found
    assert stored_of_bob() == before


@pytest.mark.parametrize("name", OF_INSTANCES)
def test_a_record_that_one_has_is_told_of(api: Api, redis_client: redis.Redis, name: str) -> None:
    """By the same words: so it was not for another reason that they were refused."""
    memory: Any = Memory.query.get(name=f"{ANN}.0", agent=ANN)
    if name == "Model.field_ttl" and not expires_fields(redis_client):
        with pytest.raises(ModelException, match="this server has no expiry of single fields"):
            OF_INSTANCES[name](api, memory)
    else:
        OF_INSTANCES[name](api, memory)


def test_a_record_of_ones_own_that_was_just_made_is_told_of(api: Api) -> None:
    memory = Memory.create(name="new", agent=ANN, mail="new@x", text="new")
    assert api(memory.history)
    assert api(ConfidenceField.get_confidence, memory, "sure") == 0.5
    assert looked_at("access_count")(api, memory) == 0
    api(Memory.record_prediction, memory, {"x": 1})
    assert api(Memory.get_prediction_data, memory)["predicted"] == {"x": 1}


def public(owner: Any) -> set[str]:
    """What has a name without underscore and is no field, each with its asyncio twin once."""
    fields = getattr(owner, "_meta", None)
    names = {name for name in dir(owner) if not name.startswith("_")}
    if fields is None:
        # Of a field, properties describe it; of a record, they may read.
        names = {name for name in names if callable(getattr(owner, name, None))}
    else:
        names -= set(fields.by_name)
    return {name.removeprefix("async_") for name in names}


def owners() -> dict[str, tuple[Any, Any]]:
    """The classes with reads, and of each the one whose names are somebody else's."""
    found: dict[str, tuple[Any, Any]] = {"Model": (Memory, type)}
    for name in popoto.__all__:
        each: Any = getattr(popoto, name)
        if isinstance(each, type) and issubclass(each, Field) and each is not Field:
            found[name] = each, Field
    for each in (ObservationProtocol, RecallProposal):
        found[each.__name__] = each, object
    for name in recipes.__all__:
        each = getattr(recipes, name)
        if isinstance(each, type):
            found[name] = each, Memory if issubclass(each, Model) else object
    return found


def test_every_read_of_every_class_is_tried() -> None:
    known = {
        f"{owner}.{name}".partition(" ")[0]
        for owner in NO_READS
        for name in NO_READS[owner].split()
    }
    known |= {name.partition(" ")[0] for name in (*OF_INSTANCES, *OF_THE_MODEL)}
    shared = {name.partition(".")[2] for name in known if not name.startswith("Model.")}
    unknown = []
    for owner, (each, base) in owners().items():
        names = public(each) - public(base)
        if owner == "Model":
            unknown += [f"{owner}.{name}" for name in names if f"{owner}.{name}" not in known]
        else:
            unknown += [f"{owner}.{name}" for name in names - shared]
    assert unknown == []


def test_what_is_named_is_there() -> None:
    """A read that was renamed is not taken for one that is tried."""
    there = {f"{owner}.{name}" for owner, (each, _) in owners().items() for name in public(each)}
    there |= set(popoto.__all__)
    named = {name.partition(" ")[0] for name in (*OF_INSTANCES, *OF_THE_MODEL)}
    named |= {f"{owner}.{name}" for owner in NO_READS for name in NO_READS[owner].split()}
    assert named - there == set()
