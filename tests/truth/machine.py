"""What random clients do to a handful of records, and what must be stored then.

`Machine` is a Hypothesis state machine. Several clients hold copies of the same records, loaded
by every path, and save, move, push and delete them in any order. A plain dict says what must be
stored; after every step the server has to hold just that, and the independent checker of
`oracle` has to find nothing.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, TypeAlias

import redis
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple
from hypothesis.stateful import rule as hypothesis_rule

from popoto import ModelException
from popoto.exceptions import NothingWrittenError, UniquenessError
from popoto.fields.shortcuts import CappedListProxy
from popoto.models.transactions import transaction
from tests.driver import Api
from tests.truth.models import CHOICES, Shelf, Thing
from tests.truth.oracle import record_key, records, violations

Values: TypeAlias = dict[str, Any]
NAMES = tuple(Thing._meta.fields)
KEYS = ("part", "number")
CAPACITY = 3
#: Errors after which a step may have been carried out or not.
UNKNOWN = (redis.ConnectionError, redis.TimeoutError)

REFUSED: list[Values] = [
    {"weight": math.nan},
    {"weight": None},
    {"home": (86.0, 0.0)},
    {"level": "seven"},
    {"shelf": "no key"},
    {"mood": "\ud800"},
    {"recent": [object()]},
]

values_of_records = st.fixed_dictionaries(
    {name: st.sampled_from(choices) for name, choices in CHOICES.items()}
)
changes = st.lists(
    st.sampled_from([name for name in NAMES if name not in KEYS]), max_size=4, unique=True
).flatmap(lambda names: st.fixed_dictionaries({n: st.sampled_from(CHOICES[n]) for n in names}))
new_keys = st.fixed_dictionaries({name: st.sampled_from(CHOICES[name]) for name in KEYS})
both_ways = st.booleans()


def plain(values: Values) -> Values:
    """Values as the dict of stored records has them: positions as pairs, lists cut."""
    found = dict(values)
    if "home" in found:
        home = found["home"]
        found["home"] = None if home is None or None in home else tuple(map(float, home))
    if "recent" in found:
        found["recent"] = list(found["recent"] or ())[:CAPACITY]
    return found


def key_of(values: Values) -> str:
    return record_key(Thing, values)


@dataclass(eq=False)
class Copy:
    """One client's object."""

    instance: Any
    #: fields whose value waited in a pipeline, or went to the server, and may not be stored; and
    #: which stored values are not another writer's (None: nobody can say)
    waiting: dict[str, tuple[Any, ...] | None] = field(
        default_factory=dict[str, "tuple[Any, ...] | None"]
    )

    @property
    def attributes(self) -> Values:
        return plain(self.instance.to_dict())

    @property
    def base(self) -> Values:
        """What this client believes to be stored; empty for a new record."""
        return plain(self.instance._saved_field_values)

    @property
    def key(self) -> str:
        """The key under which the record is stored, as this client knows it."""
        if self.base:
            return str(self.instance._redis_key)
        return key_of(self.attributes)

    def doubt(self, names: Iterable[str] | None) -> None:
        """Values of these fields, or of those that have changed, may be stored or not."""
        attributes = self.attributes
        if names is None:
            names = changed_names(self.base, attributes)
        for name in names if self.base else ():
            known = self.waiting.get(name, ())
            self.waiting[name] = None if known is None else (*known, attributes[name])

    @property
    def ends_at_once(self) -> bool:
        ttl, moment = self.instance._ttl, self.instance._expire_at
        return ttl == 0 or (moment is not None and moment < datetime.datetime.now())


class Refused(Exception):
    """The step has to be refused, and must change nothing."""


def check_unique(stored: dict[str, Values], values: Values, but: Iterable[str]) -> None:
    for key, other in stored.items():
        if key in but:
            continue
        same_code = values["code"] is not None and values["code"] == other["code"]
        pair = (values["mood"], values["note"])
        same_pair = None not in pair and pair == (other["mood"], other["note"])
        if same_code or same_pair:
            raise Refused


def clash(stored: dict[str, Values], values: Values, but: Iterable[str]) -> bool:
    try:
        check_unique(stored, values, but)
    except Refused:
        return True
    return False


def changed_keys(base: Values, attributes: Values) -> bool:
    return any(base[name] is not None and base[name] != attributes[name] for name in KEYS)


def is_another(value: Any, before: Any) -> bool:
    """Whether a save has to write it. 0.0 equals -0.0 and 1 equals True, and yet they differ."""
    if value != before or isinstance(value, bool) != isinstance(before, bool):
        return True
    return type(value) is type(before) is float and str(value) != str(before)


def changed_names(base: Values, attributes: Values) -> list[str]:
    """What a save of the whole writes."""
    known: Values = {"recent": [], **base}
    return [
        name for name in NAMES if name not in known or is_another(attributes[name], known[name])
    ]


@dataclass
class Saving:
    """What one save has to do: remove `old`, store `values` under `key`."""

    old: str
    key: str
    values: Values
    #: fields that may keep what is stored, or become this
    loose: Values = field(default_factory=dict[str, Any])
    #: whether another record has what they may become
    may_clash: bool = False

    def carry_out(self, stored: dict[str, Values]) -> None:
        stored.pop(self.old, None)
        stored[self.key] = self.values


def expected_save(
    stored: dict[str, Values],
    copy: Copy,
    names: list[str] | None,
    *,
    migrate: bool = False,
    create: bool = False,
    recreate: bool = False,
    claims: dict[str, Values] | None = None,
) -> Saving:
    """The contract of `save` in one page. Raises Refused."""
    attributes, base = copy.attributes, copy.base
    key = key_of(attributes)
    claims = stored if claims is None else claims
    if not base:
        current = stored.get(key)
        if current is None:
            if names is not None:
                raise Refused
            check_unique(claims, attributes, (key,))
            return Saving(key, key, attributes)
        if create or any(current[name] != attributes[name] for name in KEYS):
            raise Refused
        written = attributes if names is None else {n: attributes[n] for n in names}
        values = {**current, **written}
        check_unique(claims, values, (key,))
        return Saving(key, key, values)
    old = copy.key
    # Values that make the same key are the same record's.
    if not migrate and key != old and changed_keys(base, attributes):
        raise Refused
    current = stored.get(old)
    if current is None:
        if names is not None or (key != old and key in stored):
            raise Refused
        if copy.instance._is_persisted and not recreate:
            # Somebody has deleted it, or it has expired.
            raise Refused
        check_unique(claims, attributes, (key,))
        return Saving(key, key, attributes)
    if key != old and key in stored:
        raise Refused
    if names is None:
        names = changed_names(base, attributes)
        loose: Values = {}
        for name, before in copy.waiting.items():
            if name not in names and current[name] != attributes[name]:
                if any(not is_another(current[name], each) for each in before or ()):
                    names.append(name)
                else:
                    loose[name] = attributes[name]
    else:
        loose = {}
    written = {name: attributes[name] for name in names}
    if key != old:
        written |= {name: attributes[name] for name in KEYS}
    values = {**current, **written}
    check_unique(claims, values, (old, key))
    return Saving(old, key, values, loose, clash(claims, {**values, **loose}, (old, key)))


Predicate: TypeAlias = Callable[[Values], bool]


def _starts(name: str, text: str) -> Predicate:
    return lambda values: values[name] is not None and values[name].startswith(text)


def _reaches(value: int | None, bound: int | None) -> bool:
    """Whether a value is not below a bound; null reaches null alone."""
    return value is bound if value is None or bound is None else value >= bound


def questions() -> list[tuple[Values, Predicate]]:
    """Conditions, and what they mean."""
    found: list[tuple[Values, Predicate]] = [
        ({"mood__isnull": True}, lambda v: v["mood"] is None),
        ({"mood__isnull": False}, lambda v: v["mood"] is not None),
        ({"mood__startswith": "x"}, _starts("mood", "x")),
        ({"mood__startswith": "N"}, _starts("mood", "N")),
        ({"mood__endswith": ":y"}, lambda v: (v["mood"] or "").endswith(":y")),
        ({"code__contains": "{&"}, lambda v: "{&" in (v["code"] or "")),
        ({"level__in": [0, 7]}, lambda v: v["level"] in (0, 7)),
        ({"weight__gte": 0, "level": 7}, lambda v: v["weight"] >= 0 and v["level"] == 7),
        ({"weight__lt": 1.5}, lambda v: v["weight"] < 1.5),
        ({"grade__isnull": True}, lambda v: v["grade"] is None),
        ({"grade__isnull": False}, lambda v: v["grade"] is not None),
        ({"grade": None, "level": 7}, lambda v: v["grade"] is None and v["level"] == 7),
        ({"grade__ne": 0}, lambda v: v["grade"] != 0),
        ({"grade__gte": 0}, lambda v: v["grade"] is not None and v["grade"] >= 0),
        ({"grade__in": [0, None]}, lambda v: v["grade"] in (0, None)),
        ({"home": (0, 0), "home_radius": 5}, lambda v: v["home"] == (0.0, 0.0)),
        ({"home__isnull": True}, lambda v: v["home"] is None),
    ]
    for name in ("part", "number", "code", "mood", "level", "note"):
        for value in CHOICES[name]:
            found.append(({name: value}, lambda v, n=name, x=value: v[n] == x))
    for shelf in CHOICES["shelf"]:
        found.append(({"shelf": shelf}, lambda v, x=shelf: v["shelf"] == x))
    for mood in CHOICES["mood"]:
        for born in CHOICES["born"]:
            lookup = "born" if born is None else "born__gte"
            found.append(
                (
                    {"mood": mood, lookup: born},
                    lambda v, m=mood, b=born: v["mood"] == m and _reaches(v["born"], b),
                )
            )
    return found


QUESTIONS = questions()


Rule: TypeAlias = Callable[..., Any]


def rule(**strategies: Any) -> Callable[[Rule], Rule]:
    """A step, which may end in the error of a connection; see `Machine.settle_after`."""

    def decorate(step: Rule) -> Rule:
        @wraps(step)
        def carried_out(machine: Machine, *part_of_a_step: Any, **drawn: Any) -> Any:
            if part_of_a_step:
                return step(machine, *part_of_a_step)
            machine.before = {key: dict(values) for key, values in machine.stored.items()}
            machine.after = machine.fading = None
            try:
                return step(machine, **drawn)
            except UNKNOWN as error:
                machine.settle_after(error)
                return multiple() if "target" in strategies else None

        return hypothesis_rule(**strategies)(carried_out)

    return decorate


class Machine(RuleBasedStateMachine):
    """Clients, the server, and what the server must hold."""

    copies = Bundle("copies")
    #: what was stored before the step, and what is when it is carried out (None: the same)
    before: dict[str, Values]
    after: dict[str, Values] | None = None
    #: the record that the step leaves for some milliseconds
    fading: str | None = None

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.client = client
        self.client.flushall()
        self.ways = {way: Api(is_async=way) for way in (False, True)}
        self.stored: dict[str, Values] = {}
        self.is_sound = True

    def teardown(self) -> None:
        if self.is_sound:
            self.ask_everything()
        for way in self.ways.values():
            way.close()

    def expect(self, after: dict[str, Values]) -> None:
        """Say what is stored once the step under way is carried out."""
        self.after = {key: dict(values) for key, values in after.items()}

    def settle_after(self, error: Exception) -> None:
        """The step was carried out whole or not at all, and not if its error says so."""
        actual = {key: plain(values) for key, values in records(self.client, Thing).items()}
        possible = [self.before]
        if self.after is not None and not isinstance(error, NothingWrittenError):
            possible.append(self.after)
            if self.fading is not None:
                # Carried out, and gone meanwhile.
                possible.append({k: v for k, v in self.after.items() if k != self.fading})
        assert actual in possible, error
        self.stored = actual

    def attempt(self, expected: Saving | None, step: Callable[[], Any]) -> Any:
        """Carry out a step that has to succeed, or (None) to be refused."""
        if expected is None:
            try:
                step()
            except ModelException:
                return None
            raise AssertionError("this had to be refused")
        return step()

    # Saving -----------------------------------------------------------------------------------

    def save(
        self,
        copy: Copy,
        step: Callable[[], Any],
        names: list[str] | None = None,
        **how: Any,
    ) -> None:
        self.is_sound = False
        try:
            expected = expected_save(self.stored, copy, names, **how)
        except Refused:
            expected = None
        attributes = copy.attributes
        if expected is not None:
            after = dict(self.stored)
            expected.carry_out(after)
            if copy.ends_at_once:
                del after[expected.key]
            self.expect(after)
        try:
            self.attempt(expected, step)
        except UniquenessError:
            if expected is None or not expected.may_clash:
                raise
            expected = None
        except UNKNOWN as error:
            if not isinstance(error, NothingWrittenError):
                copy.doubt(names)
            raise
        finally:
            if expected is not None:
                expected.carry_out(self.stored)
        if expected is None:
            return
        for name in NAMES if names is None else names:
            copy.waiting.pop(name, None)
        if copy.ends_at_once:
            del self.stored[expected.key]
            return
        self.settle(expected)
        self.check_copy(copy, attributes, expected)

    def settle(self, expected: Saving) -> None:
        """Where two outcomes are allowed, take the one that happened."""
        if expected.loose:
            actual = plain(records(self.client, Thing)[expected.key])
            for name, value in expected.loose.items():
                if actual[name] == value:
                    self.stored[expected.key][name] = value

    def check_copy(self, copy: Copy, before: Values, expected: Saving) -> None:
        """A save leaves in memory what was there, or what is stored."""
        after = copy.attributes
        stored = self.stored[expected.key]
        for name in NAMES:
            assert after[name] in (before[name], stored[name]), name
        assert copy.instance._redis_key == expected.key
        assert copy.instance._is_persisted

    @rule(target=copies, values=values_of_records, is_async=both_ways)
    def create(self, values: Values, is_async: bool) -> Any:
        copy = Copy(Thing(**values))
        draft = copy.instance

        def step() -> None:
            copy.instance = self.ways[is_async](Thing.create, **values)

        self.save(copy, step, create=True)
        return multiple() if copy.instance is draft else copy

    @rule(target=copies, values=values_of_records)
    def construct(self, values: Values) -> Copy:
        return Copy(Thing(**values))

    @rule(wrong=st.sampled_from(REFUSED), values=values_of_records, is_async=both_ways)
    def refuse(self, wrong: Values, values: Values, is_async: bool) -> None:
        """Nothing is written of what cannot be stored."""
        api = self.ways[is_async]
        self.attempt(None, lambda: api(Thing(**{**values, **wrong}).save))

    @rule(copy=copies, recreate=st.booleans(), is_async=both_ways)
    def save_whole(self, copy: Copy, recreate: bool, is_async: bool) -> None:
        def step() -> Any:
            return self.ways[is_async](copy.instance.save, recreate=recreate)

        self.save(copy, step, recreate=recreate)

    @rule(copy=copies, new=changes, recreate=st.booleans(), is_async=both_ways)
    def change_and_save(self, copy: Copy, new: Values, recreate: bool, is_async: bool) -> None:
        self.assign(copy, new)
        self.save_whole(copy, recreate, is_async)

    @rule(copy=copies, new=changes)
    def assign(self, copy: Copy, new: Values) -> None:
        for name, value in new.items():
            setattr(copy.instance, name, list(value) if name == "recent" else value)

    @rule(copy=copies, new=changes, more=st.sets(st.sampled_from(NAMES)), is_async=both_ways)
    def save_partly(self, copy: Copy, new: Values, more: set[str], is_async: bool) -> None:
        self.assign(copy, new)
        names = sorted({*new, *more})
        if names:
            self.save(
                copy,
                lambda: self.ways[is_async](copy.instance.save, update_fields=names),
                names=names,
            )

    @rule(copy=copies, key=new_keys, new=changes, partly=st.booleans(), is_async=both_ways)
    def move(self, copy: Copy, key: Values, new: Values, partly: bool, is_async: bool) -> None:
        before = {name: copy.attributes[name] for name in KEYS}
        self.assign(copy, new)
        self.assign(copy, key)
        names = sorted({*new, *KEYS}) if partly else None
        self.save(
            copy,
            lambda: self.ways[is_async](copy.instance.save, update_fields=names, migrate_key=True),
            names=names,
            migrate=True,
        )
        if copy.base and key_of(copy.attributes) != copy.instance._redis_key:
            self.assign(copy, before)

    @rule(
        copy=copies,
        ttl=st.sampled_from(["now", "past", "soon", "later", "never"]),
        is_async=both_ways,
    )
    def expire(self, copy: Copy, ttl: str, is_async: bool) -> None:
        instance = copy.instance
        instance._ttl = instance._expire_at = None
        if ttl == "past":
            instance._expire_at = datetime.datetime(2001, 1, 1)
        elif ttl == "soon":
            instance._ttl = datetime.timedelta(milliseconds=4)
        elif ttl != "never":
            instance._ttl = 0 if ttl == "now" else 1000
        if ttl == "soon":
            before = set(self.stored)
            self.fading = copy.key
            self.save(copy, lambda: self.ways[is_async](instance.save))
            if set(self.stored) - before or copy.key in self.stored:
                time.sleep(0.006)
                for key in set(self.stored) - set(records(self.client, Thing)):
                    assert key == copy.key
                    del self.stored[key]
        else:
            self.save(copy, lambda: self.ways[is_async](instance.save))
        instance._ttl = instance._expire_at = None

    # Many at once, and in place ---------------------------------------------------------------

    @rule(
        steps=st.lists(
            st.tuples(copies, changes, new_keys, st.sampled_from(["save", "move", "delete"])),
            min_size=1,
            max_size=4,
        ),
        is_async=both_ways,
    )
    def transaction(self, steps: list[tuple[Copy, Values, Values, str]], is_async: bool) -> None:
        """Saves, moves and deletes that happen together or not at all."""
        self.is_sound = False
        joined = transaction()
        view = dict(self.stored)
        keys: set[str] = set()
        refused = False
        moved: list[tuple[Copy, Values]] = []
        saved: list[Copy] = []
        for copy, new, new_key, step in steps:
            key = copy.key
            if key in keys or key_of(copy.attributes) in keys or copy.waiting:
                continue
            self.assign(copy, new)
            if step == "delete":
                joined.delete(copy.instance)
                keys.add(key)
                there = view.get(key)
                if copy.base or (there and all(there[n] == copy.attributes[n] for n in KEYS)):
                    view.pop(key, None)
                continue
            if step == "move":
                moved.append((copy, {name: copy.attributes[name] for name in KEYS}))
                self.assign(copy, new_key)
            taking = {key, key_of(copy.attributes)}
            # What is refused at once takes no part, and the rest goes on without it.
            try:
                joined.save(copy.instance, migrate_key=step == "move")
            except ModelException:
                assert taking & keys or self.is_refused(view, copy, migrate=step == "move")
                continue
            keys |= taking
            saved.append(copy)
            try:
                saving = expected_save(view, copy, None, migrate=step == "move", claims={})
            except Refused:
                refused = True
            else:
                # Where a key was taken before, another record may not come at the same time.
                refused = refused or (saving.key != saving.old and saving.key in self.stored)
                saving.carry_out(view)
        try:
            self.carry_out_together(joined, view, refused or self.shares_values(view), is_async)
        except UNKNOWN as error:
            for copy in saved if not isinstance(error, NothingWrittenError) else ():
                copy.doubt(None)
            raise
        for copy, before in moved:
            if copy.base and key_of(copy.attributes) != copy.instance._redis_key:
                self.assign(copy, before)

    def is_refused(self, view: dict[str, Values], copy: Copy, **how: Any) -> bool:
        try:
            expected_save(view, copy, None, claims={}, **how)
        except Refused:
            return True
        return False

    def shares_values(self, view: dict[str, Values]) -> bool:
        """Whether records of a state would share what has to be unique."""
        return any(clash(view, values, (key,)) for key, values in view.items())

    def carry_out_together(
        self, joined: Any, view: dict[str, Values], refused: bool, is_async: bool
    ) -> None:
        self.expect(view)
        try:
            if is_async:
                self.ways[True].run(joined.async_commit())
            else:
                joined.commit()
        except ModelException:
            assert refused
            return
        assert not refused
        self.stored = view

    @rule(
        places=st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True),
        names=st.sampled_from([("code",), ("mood", "note"), ("code", "mood", "note"), ("level",)]),
        how=st.sampled_from(["bulk", "transaction", "upserts"]),
        is_async=both_ways,
    )
    def exchange(self, places: list[int], names: tuple[str, ...], how: str, is_async: bool) -> None:
        """Stored records pass their unique values on to each other: pairs, and rings."""
        self.is_sound = False
        api = self.ways[is_async]
        stored_keys = sorted(self.stored)
        ring = [stored_keys[place] for place in places if place < len(stored_keys)]
        view = dict(self.stored)
        for key, source in zip(ring, (*ring[1:], *ring[:1]), strict=True):
            view[key] = {**view[key], **{name: self.stored[source][name] for name in names}}
        if how == "upserts":
            things = [Thing(**view[key]) for key in ring]
        else:
            things = api(Thing.query.get_many, ring)
            for thing in things:
                for name in names:
                    setattr(thing, name, view[thing.pk][name])
        refused = self.shares_values(view)
        if how == "transaction":
            joined = transaction()
            for thing in things:
                joined.save(thing)
            self.carry_out_together(joined, view, refused, is_async)
            return
        self.expect(view)
        try:
            api(Thing.bulk_create, things)
        except ModelException:
            assert refused
            return
        assert not refused
        self.stored = view

    @rule(copy=copies, name=st.sampled_from(["level", "born", "grade"]), is_async=both_ways)
    def increment(self, copy: Copy, name: str, is_async: bool) -> None:
        instance, base = copy.instance, copy.base
        if not instance._is_persisted or not base:
            return
        self.is_sound = False

        def step() -> Any:
            return self.ways[is_async](instance.atomic_increment, name, 3)

        current = self.stored.get(copy.key)
        if current is None:
            self.attempt(None, step)
            return
        if current[name] == math.inf:
            # It is refused, as tests of increments hold.
            return
        current[name] = (current[name] or 0) + 3
        self.expect(self.stored)
        copy.waiting.pop(name, None)
        assert step() == current[name] == getattr(instance, name)

    @rule(target=copies, many=st.lists(values_of_records, max_size=4), is_async=both_ways)
    def bulk_create(self, many: list[Values], is_async: bool) -> Any:
        """All of a batch, or none of it."""
        self.is_sound = False
        view = dict(self.stored)
        refused = False
        # One record takes part once.
        many = list({key_of(values): values for values in many}.values())
        for values in many:
            key = key_of(values)
            current = view.get(key)
            if current is not None and any(current[name] != values[name] for name in KEYS):
                refused = True
            view[key] = plain(values)
        for key, values in view.items():
            try:
                check_unique(view, values, (key,))
            except Refused:
                refused = True
        things = [Thing(**values) for values in many]
        self.expect(view)
        try:
            made = self.ways[is_async](Thing.bulk_create, things)
        except ModelException:
            assert refused
            return multiple()
        assert not refused
        self.stored = view
        return multiple(*map(Copy, made))

    @rule(new=changes.filter(bool), count=st.integers(0, 3), is_async=both_ways)
    def bulk_update(self, new: Values, count: int, is_async: bool) -> None:
        self.is_sound = False
        chosen = sorted(self.stored)[:count]
        view = {**self.stored, **{key: {**self.stored[key], **plain(new)} for key in chosen}}
        refused = False
        for key in chosen:
            try:
                check_unique(view, view[key], (key,))
            except Refused:
                refused = True
        found = self.ways[is_async](Thing.query.get_many, chosen)
        self.expect(view)
        try:
            self.ways[is_async](Thing.bulk_update, found, **new)
        except ModelException:
            assert refused
            return
        assert not refused
        self.stored = view

    @rule(count=st.integers(0, 3), is_async=both_ways)
    def bulk_delete(self, count: int, is_async: bool) -> None:
        self.is_sound = False
        chosen = sorted(self.stored)[:count]
        found = self.ways[is_async](Thing.query.get_many, chosen)
        self.expect({key: self.stored[key] for key in self.stored if key not in chosen})
        assert self.ways[is_async](Thing.bulk_delete, found) == len(chosen)
        for key in chosen:
            del self.stored[key]

    # Deleting, pushing ------------------------------------------------------------------------

    @rule(copy=copies, is_async=both_ways)
    def delete(self, copy: Copy, is_async: bool) -> None:
        attributes, key = copy.attributes, copy.key
        self.is_sound = False
        there = key in self.stored
        if there and not copy.base:
            there = all(self.stored[key][name] == attributes[name] for name in KEYS)
        if there:
            self.expect({each: self.stored[each] for each in self.stored if each != key})
        assert self.ways[is_async](copy.instance.delete) is there
        if there:
            del self.stored[key]
        copy.waiting = {}
        assert copy.attributes == attributes
        assert not copy.base

    @rule(copy=copies, value=st.sampled_from([None, "b", (2, 3)]), is_async=both_ways)
    def push(self, copy: Copy, value: Any, is_async: bool) -> None:
        if not isinstance(copy.instance.recent, CappedListProxy):
            # Assigned as a plain list, and not saved yet.
            return

        def step() -> Any:
            return self.ways[is_async](copy.instance.recent.push, value)

        if not copy.instance._is_persisted or copy.key not in self.stored:
            self.attempt(None, step)
            return
        values = self.stored[copy.key]
        values["recent"] = [value, *values["recent"]][:CAPACITY]
        self.expect(self.stored)
        step()

    # Loading ----------------------------------------------------------------------------------

    @rule(
        target=copies,
        number=st.integers(0, 9),
        path=st.sampled_from(["get", "key", "load", "filter", "all", "many", "first"]),
        is_async=both_ways,
    )
    def load(self, number: int, path: str, is_async: bool) -> Any:
        if not self.stored:
            return multiple()
        key = sorted(self.stored)[number % len(self.stored)]
        values = self.stored[key]
        found = self.found_by(path, key, values, self.ways[is_async])
        copy = Copy(found)
        assert copy.attributes == copy.base == values
        assert found.pk == key
        return copy

    def found_by(self, path: str, key: str, values: Values, api: Api) -> Any:
        identity = {name: values[name] for name in KEYS}
        query = Thing.query
        if path == "get":
            return api(query.get, **identity)
        if path == "key":
            return api(query.get, redis_key=key)
        if path == "load":
            return api(Thing.load, key)
        if path == "many":
            return api(query.get_many, [key.encode()])[0]
        if path == "first":
            return api(query.filter(**identity).first)
        if path == "filter":
            found = (
                api.run(query.async_filter(**identity))
                if api.is_async
                else list(query.filter(**identity))
            )
        else:
            found = api(query.all)
        return next(each for each in found if each.pk == key)

    @rule(values=values_of_records, update=st.booleans(), is_async=both_ways, target=copies)
    def get_or_create(self, values: Values, update: bool, is_async: bool) -> Any:
        self.is_sound = False
        key = key_of(values)
        identity = {name: values[name] for name in KEYS}
        defaults = {name: value for name, value in values.items() if name not in KEYS}
        current = self.stored.get(key)
        same = current is not None and all(current[name] == identity[name] for name in KEYS)
        after = dict(self.stored)
        refused = current is not None and not same
        try:
            if not same or update:
                check_unique(self.stored, values, (key,))
                after[key] = plain(values)
        except Refused:
            refused = True
        self.expect(after)
        call = Thing.update_or_create if update else Thing.get_or_create
        try:
            made, created = self.ways[is_async](call, defaults, **identity)
        except ModelException:
            assert refused
            return multiple()
        assert not refused
        assert created is (current is None)
        self.stored = after
        return Copy(made)

    # Pipelines --------------------------------------------------------------------------------

    @rule(
        steps=st.lists(
            st.tuples(copies, changes, st.sampled_from(["save", "part", "delete"])),
            min_size=1,
            max_size=4,
        ),
        transaction=st.booleans(),
        executed=st.booleans(),
        is_async=both_ways,
    )
    def pipeline(
        self,
        steps: list[tuple[Copy, Values, str]],
        transaction: bool,
        executed: bool,
        is_async: bool,
    ) -> None:
        """Saves and deletes queued on a caller's pipeline, which is executed or dropped."""
        api = self.ways[is_async]
        self.is_sound = False
        pipeline = self.client.pipeline(transaction=transaction)
        view = {key: dict(values) for key, values in self.stored.items()}
        clashes = False
        for copy, new, step in steps:
            before = copy.base
            if step == "delete":
                key = copy.key
                ours = (
                    bool(before)
                    or key not in view
                    or all(view[key][name] == copy.attributes[name] for name in KEYS)
                )
                api(copy.instance.delete, pipeline=pipeline)
                copy.waiting = {}
                if ours:
                    view.pop(key, None)
                continue
            self.assign(copy, new)
            names = sorted(new) or ["note"] if step == "part" else None
            copy.instance._ttl = copy.instance._expire_at = None
            try:
                expected = expected_save(view, copy, names, claims=self.stored)
            except Refused:
                expected = None
            attributes = copy.attributes
            save = copy.instance.save
            self.attempt(expected, partial(api, save, pipeline=pipeline, update_fields=names))
            if expected is None:
                continue
            self.note_waiting(copy, before, attributes, expected, names, executed=executed)
            clashes = clashes or bool(expected.loose)
            try:
                check_unique(view, expected.values, (expected.old, expected.key))
            except Refused:
                clashes = True
            expected.carry_out(view)
        if not executed:
            pipeline.reset()
            return
        answers = pipeline.execute(raise_on_error=False)
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        if clashes:
            self.stored = {k: plain(v) for k, v in records(self.client, Thing).items()}
        else:
            assert not errors
            self.stored = view

    def note_waiting(
        self,
        copy: Copy,
        before: Values,
        attributes: Values,
        expected: Saving,
        names: list[str] | None,
        *,
        executed: bool,
    ) -> None:
        """What was queued is written by the next save, as far as what is stored is known."""
        current = self.stored.get(expected.old, {})
        for name in NAMES if names is None else names:
            if names is not None or before.get(name) != attributes[name] or not before:
                # What another writer creates a record with is another writer's, nulls too.
                certain = not executed and name not in copy.waiting and name in current
                copy.waiting[name] = (current[name],) if certain else None

    # Asking -----------------------------------------------------------------------------------

    @rule(number=st.integers(0, len(QUESTIONS) - 1), is_async=both_ways)
    def ask(self, number: int, is_async: bool) -> None:
        conditions, predicate = QUESTIONS[number]
        self.compare(conditions, predicate, self.ways[is_async])

    def compare(self, conditions: Values, predicate: Predicate, api: Api) -> None:
        wanted = {key for key, values in self.stored.items() if predicate(values)}
        query = Thing.query
        found: list[Any] = (
            api.run(query.async_filter(**conditions))
            if api.is_async
            else list(query.filter(**conditions))
        )
        assert sorted(each.pk for each in found) == sorted(wanted), conditions
        for each in found:
            assert Copy(each).attributes == self.stored[each.pk]
        assert api(query.count, **conditions) == len(wanted), conditions

    def ask_everything(self) -> None:
        for number, (conditions, predicate) in enumerate(QUESTIONS):
            self.compare(conditions, predicate, self.ways[number % 2 == 0])
        everything = Thing.query.keys()
        assert {key.decode() for key in everything} == set(self.stored)
        self.agree()

    @rule(is_async=both_ways)
    def count(self, is_async: bool) -> None:
        api = self.ways[is_async]
        assert api(Thing.query.count) == len(self.stored)
        found = api(Thing.query.all, order_by="weight")
        assert [each.weight for each in found] == sorted(v["weight"] for v in self.stored.values())
        grades = [values["grade"] for values in self.stored.values()]
        known = sorted((grade for grade in grades if grade is not None), reverse=True)
        found = api(Thing.query.all, order_by="-grade")
        assert [each.grade for each in found] == known + [None] * (len(grades) - len(known))

    @invariant()
    def agree(self) -> None:
        self.is_sound = False
        found = violations(self.client, Thing, Shelf)
        assert not found, found
        actual = {key: plain(values) for key, values in records(self.client, Thing).items()}
        for key in {*actual, *self.stored}:
            assert actual.get(key) == self.stored.get(key), key
        self.is_sound = True
