"""Users of the server with few rights: what the library needs, and tenants who see nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    EventStreamMixin,
    ExistenceFilter,
    FrequencySketch,
    IndexedField,
    KeyField,
    Model,
    PredictionLedgerMixin,
    SortedField,
    StringField,
    UniqueField,
    redis_db,
)
from popoto.cli import main
from popoto.cli.exporting import Export
from popoto.fields.embedding_field import invalidate_cache
from popoto.stores.default import set_default_store
from tests.driver import Api
from tests.erasing.models import ANN, Memory, lived

pytestmark = pytest.mark.single_server("makes users of one server")

#: As docs/production.md has them, and without what looks through all keys.
RULES = "-@all +@read +@write +@connection +@transaction +@pubsub +time -@dangerous"
RULES += " -scan -randomkey"
MAY_TEACH = " +eval +evalsha +script|load"
FORBIDDEN: tuple[tuple[Any, ...], ...] = (
    *(("KEYS", "*"), ("SCAN", 0), ("RANDOMKEY",), ("FLUSHDB",), ("FLUSHALL",)),
    *(("CONFIG", "GET", "*"), ("CONFIG", "SET", "maxmemory", 1), ("MODULE", "LIST")),
    *(("DEBUG", "SLEEP", 0), ("SHUTDOWN",), ("ACL", "LIST"), ("MONITOR",), ("SWAPDB", 0, 1)),
    *(("FUNCTION", "LIST"), ("FCALL", "f", 0), ("SCRIPT", "FLUSH"), ("REPLICAOF", "NO", "ONE")),
)


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    invalidate_cache()
    set_default_store(None)
    yield
    set_default_store(None)


@pytest.fixture
def user(redis_client: redis.Redis, server_url: str) -> Iterator[Callable[..., str]]:
    """`user(name, rules)`: the URL of a user who has just these rights."""
    names: list[str] = []

    def made(name: str, rules: str, keys: str = "~* &*") -> str:
        names.append(name)
        words = [*rules.split(), *keys.split()]
        redis_client.execute_command("ACL", "SETUSER", name, "reset", "on", ">pw", *words)
        return server_url.replace("unix://", f"unix://{name}:pw@")

    yield made
    for name in names:
        redis_client.execute_command("ACL", "DELUSER", name)


def work(api: Api) -> None:
    """What an application does all day."""
    lived(ANN)
    memory: Any = api(Memory.query.get, name=f"{ANN}.0", agent=ANN)
    memory.text = "another text"
    api(memory.save)
    api(memory.atomic_increment, "rank", 2)
    api(memory.renew_ttl, 1000)
    mine = Memory.query.filter(agent=ANN)
    assert api(mine.filter(rank__gte=1).order_by("-rank").count) == 1
    assert api(mine.keyword_search, "text", "all_words")
    assert api(mine.recall, "text", field="all_words")
    assert api(mine.semantic_search, "text")
    assert api(mine.top_by_decay, "fresh")
    assert api(mine.composite_score, {"fresh": 1.0, "sure": 1.0})
    assert api(memory.history)
    assert api(Memory.get_or_create, name=f"{ANN}.0", agent=ANN)[1] is False
    assert api(mine.update, rank=5) == 3
    assert api(mine.filter(name=f"{ANN}.1").delete) == 1


def test_all_work_is_done_without_dangerous_commands(
    api: Api, user: Callable[..., str], redis_client: redis.Redis
) -> None:
    url = user("shop", RULES + MAY_TEACH)
    with redis_db.using(url):
        work(api)
    for command in FORBIDDEN:
        answer = redis_client.execute_command("ACL", "DRYRUN", "shop", *command)
        assert b"has no permissions" in answer, command
    assert Memory.check_indexes()["total"] == 0


UPKEEP: dict[str, Callable[[Api], Any]] = {
    "check_indexes": lambda api: api(Memory.check_indexes),
    "clean_indexes": lambda api: api(Memory.clean_indexes),
    "rebuild_indexes": lambda api: api(Memory.rebuild_indexes),
    "erase": lambda api: api(Memory.erase, agent=ANN),
    "delete_all": lambda api: api(Memory.delete_all),
}


@pytest.mark.parametrize("name", UPKEEP)
def test_upkeep_needs_scan_and_nothing_else(api: Api, user: Callable[..., str], name: str) -> None:
    lived(ANN)
    with redis_db.using(user("shop", RULES + MAY_TEACH)):
        assert len([*Export(Memory, batch_size=10).lines()]) == 3
        with pytest.raises(redis.exceptions.NoPermissionError, match="scan"):
            UPKEEP[name](api)
    with redis_db.using(user("keeper", RULES + MAY_TEACH + " +scan")):
        UPKEEP[name](api)


def test_only_scripts_that_were_loaded_are_run(
    api: Api,
    user: Callable[..., str],
    redis_client: redis.Redis,
    server_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    redis_client.script_flush()
    with redis_db.using(user("shop", RULES + " +evalsha")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            lived(ANN)
        assert redis_client.dbsize() == 0
        with redis_db.using(server_url):
            assert main(["scripts", "--load"]) == 0
        assert "scripts are loaded on 1 server" in capsys.readouterr().out
        work(api)
        own = "return redis.call('SET', KEYS[1], 'x')"
        client = redis_db.POPOTO_REDIS_DB
        for command in (("EVAL", own, 1, "k"), ("SCRIPT", "LOAD", own), ("EVAL_RO", own, 1, "k")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
        with pytest.raises(redis.exceptions.NoScriptError):
            client.execute_command("EVALSHA", "0" * 40, 1, "k")


def test_scripts_are_listed(capsys: pytest.CaptureFixture[str], redis_client: redis.Redis) -> None:
    assert main(["scripts"]) == 0
    rows = [line.rsplit(maxsplit=2) for line in capsys.readouterr().out.splitlines()[1:]]
    assert main(["scripts", "--load"]) == 0
    assert redis_client.script_exists(*(digest for _, digest, _ in rows)) == [True] * len(rows)


# A model for each tenant --------------------------------------------------------------------------


class Base(EventStreamMixin, AccessTrackerMixin, PredictionLedgerMixin, Model):
    name = KeyField()
    mail = UniqueField()
    kind = IndexedField(default="new")
    rank = SortedField(type=int, default=0)
    text = StringField(default="")
    sure = ConfidenceField()
    fresh = DecayingSortedField()
    near = CoOccurrenceField()
    words = BM25Field(source="text")
    known = ExistenceFilter(fingerprint_fn=lambda record: record.text)
    often = FrequencySketch(fingerprint_fn=lambda record: record.text)

    class Meta:
        abstract = True
        history = True


@cache
def notes_of(tenant: str) -> Any:
    """The tenant's own model: the same fields, other keys."""
    meta = type("Meta", (), {"name": f"{tenant}_Note"})
    return type(f"{tenant}_Note", (Base,), {"Meta": meta, "_stream_name": f"{tenant}_Note"})


#: What the names of index keys begin with; docs/multi-tenancy.md has the same list.
FAMILIES = """Class KeyF AutoKeyF IndexF UniquF UniqueKeyF SortF SortedKeyF GeoF RelationshipF Index
    IdxPtr Values Expiry Late Erasing ConfidencF DecayingSortF DecayBase CyclicDecayF CoOccurrencF
    CoOccurrenceIn BM25 EmbeddingF EF FS AT PL RP WF History"""


def keys_of(tenant: str) -> str:
    """The keys and channels of a tenant, as rules of an access control list."""
    name = f"{tenant}_Note"
    rules = [f"~{name}:*", f"~stream:{name}", f"~stream:{name}:*", f"&{name}*"]
    for family in FAMILIES.split():
        rules += [f"~${family}:{name}", f"~${family}:{name}:*"]
    return " ".join(rules)


def wrote(tenant: str) -> Any:
    note = notes_of(tenant)
    one = note.create(name="one", mail="a@x", text=f"the plan of {tenant}", kind=f"{tenant}_Note")
    two = note.create(name="two", mail="b@x", text="another plan", kind="acme_Note")
    ConfidenceField.update_confidence(one, "sure", 0.9)
    note.near.link(note, one.pk, two.pk)
    note.record_prediction(one, {"x": 1})
    one.confirm_access()
    return note


READS: dict[str, Callable[[Api, Any], Any]] = {
    "all": lambda api, note: api(note.query.all),
    "get": lambda api, note: api(note.query.get, name="one"),
    "get_many": lambda api, note: api(note.query.get_many, [f"{note._meta.model_name}:one"]),
    "count": lambda api, note: api(note.query.count),
    "filter": lambda api, note: api(note.query.filter(kind="new").all),
    "range": lambda api, note: api(note.query.filter(rank__gte=0).all),
    "first": lambda api, note: api(note.query.order_by("rank").first),
    "keyword_search": lambda api, note: api(note.query.keyword_search, "plan"),
    "recall": lambda api, note: api(note.query.recall, "plan"),
    "top_by_decay": lambda api, note: api(note.query.top_by_decay, "fresh"),
    "composite_score": lambda api, note: api(note.query.composite_score, {"rank": 1.0}),
    "sum": lambda api, note: api(note.query.sum, "rank"),
    "history": lambda api, note: api(note(name="one").history),
    "confidence": lambda api, note: api(ConfidenceField.get_confidence, note(name="one"), "sure"),
    "linked": lambda api, note: api(note.near.get_linked, note, f"{note._meta.model_name}:one"),
    "prediction": lambda api, note: api(note.get_prediction_data, note(name="one")),
    "errors": lambda api, note: api(note.get_highest_errors, note),
    "known": lambda api, note: api(note.known.might_exist, note, "plan"),
    "often": lambda api, note: api(note.often.get_frequency, note, "plan"),
}
WRITES: dict[str, Callable[[Api, Any], Any]] = {
    "create": lambda api, note: api(note.create, name="new", mail="n@x"),
    "save": lambda api, note: api(note(name="one", mail="a@x").save),
    "update": lambda api, note: api(note.query.filter(rank=0).update, rank=1),
    "delete": lambda api, note: api(note.query.filter(rank=0).delete),
    "link": lambda api, note: api(note.near.link, note, "x", "y"),
    "learn": lambda api, note: api(
        ConfidenceField.update_confidence, note(name="one"), "sure", 0.5
    ),
    "rebuild": lambda api, note: api(note.rebuild_indexes),
}


def state(client: redis.Redis) -> dict[bytes, bytes]:
    return {key: client.dump(key) for key in client.keys("*")}


def test_a_tenant_with_a_model_of_its_own_works_and_sees_no_other(
    api: Api, user: Callable[..., str], redis_client: redis.Redis
) -> None:
    url = user("acme", RULES + MAY_TEACH, keys_of("acme"))
    wrote("globex")
    before = state(redis_client)
    with redis_db.using(url):
        other = notes_of("globex")
        for name, ask in (READS | WRITES).items():
            with pytest.raises(redis.exceptions.NoPermissionError):
                pytest.fail(f"{name}: {ask(api, other)!r}")
        for key in before:
            with pytest.raises(redis.exceptions.NoPermissionError):
                redis_db.POPOTO_REDIS_DB.execute_command("DUMP", key)
    assert state(redis_client) == before
    with redis_db.using(url):
        own = wrote("acme")
        for ask in READS.values():
            ask(api, own)
    assert own.check_indexes()["total"] == 0
    assert {key for key in state(redis_client) if b"globex_Note:" in key} <= before.keys()


def test_patterns_of_tenants_leave_no_key_out(redis_client: redis.Redis) -> None:
    """Each key that a model has is matched by its own patterns and by nobody else's."""
    wrote("acme"), wrote("globex")
    names = {
        tenant: {rule[1:] for rule in keys_of(tenant).split()} for tenant in ("acme", "globex")
    }

    def matches(key: str, tenant: str) -> bool:
        return any(
            key.startswith(each[:-1]) if each.endswith("*") else key == each
            for each in names[tenant]
        )

    for raw in redis_client.keys("*"):
        key = raw.decode()
        assert matches(key, "acme") != matches(key, "globex"), key
