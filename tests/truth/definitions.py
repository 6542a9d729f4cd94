"""Processes whose classes differ work on the same records: fields come, go and become indexed.

A process reads and writes what its own definition knows. It finds no record that does not match,
though it may miss one whose value a process without that index has changed; it loses nothing that
others wrote, and raises nothing but what it documents. After a rebuild by a definition, every index
of that one is complete again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from popoto import Field, IndexedField, IntField, KeyField, Model, SortedField, StringField
from popoto.exceptions import BulkError, UniquenessError
from tests.driver import Api
from tests.truth.oracle import decoded, violations

Values: TypeAlias = dict[str, Any]
NAMES = ["a", "b", "c"]
CHOICES: dict[str, list[Any]] = {
    "mood": ["x", "None", None, "x:y", "x{&#58;}y"],
    "code": ["u", "v", "u:v", None],
    "level": [1, 2, -3],
    "note": ["z", "y:z", None],
}


def defined(fields: dict[str, Any], *indexes: tuple[tuple[str, ...], bool]) -> type[Model]:
    meta = type("Meta", (), {"indexes": indexes} if indexes else {})
    body = {"name": KeyField(), **fields, "Meta": meta, "__module__": __name__}
    return type(Model)("Paper", (Model,), body)


#: One after the other as they may be deployed; each differs from the last in one respect or two.
DEFINITIONS: list[type[Model]] = [
    defined({"mood": IndexedField(), "note": StringField()}),
    defined({"mood": IndexedField(), "note": StringField(), "level": IntField(default=1)}),
    defined(
        {"mood": IndexedField(), "note": IndexedField(), "level": SortedField(type=int, default=1)}
    ),
    # As many fields that decide entries as before, and others.
    defined(
        {"code": Field(type=str, unique=True), "note": IndexedField(), "level": IntField(default=1)}
    ),
    defined({"mood": StringField(), "code": IndexedField(unique=True)}, (("mood", "code"), True)),
    defined(
        {
            "mood": Field(type=str, unique=False),
            "level": SortedField(type=int, partition_by="mood", default=1),
        }
    ),
]


names = st.sampled_from(NAMES)
numbers = st.integers(0, len(DEFINITIONS) - 1)
both_ways = st.booleans()
drawn_values = st.fixed_dictionaries({name: st.sampled_from(of) for name, of in CHOICES.items()})


class DefinitionsMachine(RuleBasedStateMachine):
    """What the hashes hold is compared with a dict; what indexes say, with the hashes."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        client.flushall()
        self.client = client
        self.ways = {way: Api(is_async=way) for way in (False, True)}
        self.stored: dict[str, Values] = {}

    def teardown(self) -> None:
        try:
            for number in range(len(DEFINITIONS)):
                self.deploy(number=number, is_async=False)
        finally:
            for way in self.ways.values():
                way.close()

    def carry_out(self, step: Callable[[], Any], stored: dict[str, Values]) -> None:
        """Carry out a step, which may be refused for a unique value; then nothing has changed."""
        try:
            step()
        except (BulkError, UniquenessError) as error:
            refused: Exception | None = error
        else:
            self.stored, refused = stored, None
        rows = refused.errors if isinstance(refused, BulkError) else ()
        assert all(isinstance(row.error, UniquenessError) for row in rows)
        self.compare()

    def compare(self) -> None:
        found: dict[str, Values] = {}
        for key in self.client.keys("Paper:*"):
            held = self.client.hgetall(key)
            found[key.decode()] = {name.decode(): decoded(raw) for name, raw in held.items()}
        assert found == self.stored

    def written(self, model: type[Model], values: Values) -> Values:
        return {name: value for name, value in values.items() if name in model._meta.fields}

    @rule(number=numbers, name=names, values=drawn_values, is_async=both_ways)
    def save_new(self, number: int, name: str, values: Values, is_async: bool) -> None:
        model = DEFINITIONS[number]
        values = {"name": name, **self.written(model, values)}
        key = f"Paper:{name}"
        stored = {**self.stored, key: {**self.stored.get(key, {}), **values}}
        self.carry_out(lambda: self.ways[is_async](model(**values).save), stored)

    @rule(number=numbers, values=drawn_values, partly=st.booleans(), is_async=both_ways)
    def change_all(self, number: int, values: Values, partly: bool, is_async: bool) -> None:
        """Every record by turns, as far as this definition finds them."""
        model, api = DEFINITIONS[number], self.ways[is_async]
        new = self.written(model, values)
        for key in sorted(self.stored):
            instance = self.loaded(model, key, api)
            # A full save writes what it changes; a partial one what it names.
            written = {
                name: value
                for name, value in new.items()
                if partly or name not in self.stored[key] or self.stored[key][name] != value
            }
            for name, value in new.items():
                setattr(instance, name, value)
            others = {} if partly else self.missing(model, instance, key)
            stored = {**self.stored, key: {**self.stored[key], **others, **written}}
            step = partial(api, instance.save, update_fields=list(new) if partly else None)
            self.carry_out(step, stored)

    def loaded(self, model: type[Model], key: str, api: Api) -> Any:
        """A record as this definition reads it, with a value where it demands one."""
        instance: Any = api(model.query.get, redis_key=key)
        if "level" in model._meta.fields and instance.level is None:
            instance.level = 1
        return instance

    def missing(self, model: type[Model], instance: Model, key: str) -> Values:
        """What a full save adds of fields that the record lacks."""
        return {
            name: getattr(instance, name)
            for name in model._meta.fields
            if name not in self.stored[key]
        }

    @rule(number=numbers, values=drawn_values, is_async=both_ways)
    def move_first(self, number: int, values: Values, is_async: bool) -> None:
        """Move a record to a key that is free."""
        model, api = DEFINITIONS[number], self.ways[is_async]
        free = [name for name in NAMES if f"Paper:{name}" not in self.stored]
        if not free or not self.stored:
            return
        old = min(self.stored)
        instance = self.loaded(model, old, api)
        others = self.missing(model, instance, old)
        instance.name = free[0]
        stored = dict(self.stored)
        values = stored.pop(old)
        stored[f"Paper:{free[0]}"] = {**values, **others, "name": free[0]}
        self.carry_out(lambda: api(instance.save, migrate_key=True), stored)

    @rule(number=numbers, how=st.sampled_from(["delete", "bulk", "expire"]), is_async=both_ways)
    def take_first(self, number: int, how: str, is_async: bool) -> None:
        model, api = DEFINITIONS[number], self.ways[is_async]
        if not self.stored:
            return
        key = min(self.stored)
        instance = self.loaded(model, key, api)
        stored = {each: values for each, values in self.stored.items() if each != key}
        if how == "delete":
            self.carry_out(lambda: api(instance.delete), stored)
        elif how == "bulk":
            self.carry_out(lambda: api(model.bulk_delete, [instance]), stored)
        else:
            instance._ttl = 0
            self.carry_out(lambda: api(instance.save), stored)

    @rule(number=numbers, is_async=both_ways)
    def ask(self, number: int, is_async: bool) -> None:
        """What is found matches, whoever wrote it."""
        self.answers(number, is_async, are_complete=False)

    def answers(self, number: int, is_async: bool, *, are_complete: bool) -> None:
        model, api = DEFINITIONS[number], self.ways[is_async]
        for name, field in model._meta.fields.items():
            # A partitioned field is asked together with what partitions it.
            for value in () if field.depends_on else CHOICES.get(name, ()):
                found = {each.pk for each in api(model.query.filter(**{name: value}).all)}
                certain = {k for k, held in self.stored.items() if held.get(name, ...) == value}
                possible = certain | {key for key, held in self.stored.items() if name not in held}
                assert found <= possible, (name, value)
                if are_complete:
                    assert certain <= found, (name, value)
        assert {each.pk for each in api(model.query.all)} == set(self.stored)
        assert api(model.query.count) == len(self.stored)

    @rule(number=numbers, is_async=both_ways)
    def deploy(self, number: int, is_async: bool) -> None:
        """All processes have this definition now, and the indexes are rebuilt."""
        model, api = DEFINITIONS[number], self.ways[is_async]
        rebuilt = api(model.rebuild_indexes)
        problems = [
            # A record without a value has no place in an order, until it is saved again.
            each
            for each in violations(self.client, model, complete=False)
            if "has no value for the sorted field" not in each
        ]
        shared = [each for each in problems if "two owners" in each or "missing" in each]
        if rebuilt.problems:
            # Records share what an earlier definition did not demand to be unique.
            assert all("must be unique" in problem.reason for problem in rebuilt.problems)
            problems = [each for each in problems if each not in shared]
        assert problems == [], problems
        self.answers(number, is_async, are_complete=True)
        assert api(model.check_indexes)["total"] == sum(
            api(model.check_indexes).get("shared_values", {}).values()
        )
        self.compare()
