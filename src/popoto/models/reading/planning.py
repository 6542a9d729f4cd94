"""From conditions to one operand: what the server evaluates and what Python has to check.

Conditions that must hold together are compiled together: fields see all of their
conditions at once, and partition values are taken from the whole conjunction.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeAlias, cast

from popoto.engine.request import Call, Plan, Request
from popoto.engine.tree import EVERYTHING, RecordKeys, all_of, any_of, negated
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import AND, Q
from popoto.fields.asking.operands import Operand, Scope, View
from popoto.fields.asking.stored_values import by_record
from popoto.fields.field import Field
from popoto.models.reading.by_pk import told_apart
from popoto.models.reading.own_answers import answer, keyword_of, once_each, partitions
from popoto.models.record.field_names import RESERVED_NAMES
from popoto.models.record.options import ModelOptions
from popoto.models.record.record import Record
from popoto.models.record.record_keys import record_keys

logger = logging.getLogger("POPOTO.Query")

AnyField = Field[Any]

#: Steps of a plan that also yields the steps of what is nested in it; see `Planner._unnested`.
_Steps: TypeAlias = "Generator[Request | Call | _Steps, Any, Operand]"

#: Up to so many conditions may stand in each other; each negated & is three steps.
_DEEPEST = 3000

#: Up to so many records are looked up by key where a conjunction fixes every key field.
_MAX_DIRECT_KEYS = 1000


def _always(_view: View) -> bool:
    return True


@dataclass(slots=True)
class _Conjunction:
    """Conditions that must all hold: pairs of keyword and operand, and nested trees."""

    pairs: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    trees: list[Q] = field(default_factory=list[Q])

    def take(self, q: Q) -> None:
        waiting = [q]
        while waiting:
            each = waiting.pop()
            if each.is_empty:
                continue
            if each.negated or (each.connector != AND and each.children):
                self.trees.append(each)
                continue
            self.pairs.extend(each.filters.items())
            waiting.extend(reversed(each.children))


class Planner:
    """Compiles the conditions of one query on one model.

    `answered_by_index` names the one field that is asked, if a `filter_query` of its own wants to
    know what it keeps.
    """

    def __init__(self, model: type[Record], answered_by_index: str | None = None) -> None:
        self.model = model
        self.answered_by_index = answered_by_index
        self.options: ModelOptions = model._meta
        #: whether distances are asked for, be it within a part of the conditions
        self.wants_distances = False
        #: all conditions of the query
        self._whole: Sequence[Q] = ()

    def compile(self, conditions: Sequence[Q]) -> Plan[Operand]:
        """The operand of conditions that must all hold. Raises QueryException."""
        self._whole = conditions
        conjunction = _Conjunction()
        for condition in conditions:
            conjunction.take(condition)
        steps = self._conjunction(conjunction, Scope())
        if not conjunction.trees:
            # Nothing is nested: the steps are requests and calls alone.
            return (yield from cast("Plan[Operand]", steps))
        return (yield from self._unnested(steps))

    # Trees -----------------------------------------------------------------------------

    def _unnested(self, steps: _Steps) -> Plan[Operand]:
        """The operand of nested steps, each driven from here: a deep tree is no deep recursion."""
        stack = [steps]
        reply: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = stack[-1].send(reply) if failure is None else stack[-1].throw(failure)
            except StopIteration as done:
                stack.pop()
                if not stack:
                    found: Operand = done.value
                    return found
                reply, failure = done.value, None
                continue
            reply, failure = None, None
            if isinstance(step, Generator):
                stack.append(step)
                if len(stack) > _DEEPEST:
                    raise QueryException(
                        f"{self.options.model_name}: conditions are nested too deeply in each "
                        "other (a thousand changes between &, | and ~); build a flatter Q"
                    )
                continue
            try:
                reply = yield step
            except Exception as error:  # noqa: BLE001 - the step that asked is told
                failure = error

    def _tree(self, q: Q, scope: Scope) -> _Steps:
        operand: Operand
        if q.negated:
            operand = yield self._tree(~q, scope)
            return _complement(operand)
        if q.connector == AND or not q.children:
            conjunction = _Conjunction()
            conjunction.take(q)
            operand = yield self._conjunction(conjunction, scope)
            return operand
        operands: list[Operand] = []
        for child in _alternatives(q):
            operands.append((yield self._tree(child, scope)))  # noqa: PERF401 - yields
        if not operands:
            return _unconditional()
        return _either(operands)

    def _conjunction(self, conjunction: _Conjunction, outer: Scope) -> _Steps:
        pairs, by_key = told_apart(self.options, conjunction.pairs)
        grouped = self._grouped(pairs)
        scope = self._scope(grouped, outer)
        operands: list[Operand] = []
        for each in by_key:
            operand = each.keys
            if each.values is not None:
                name, conditions = each.values
                found = self._field_operand(self.options.by_name[name], conditions, scope)
                operand = _either([operand, found])
            operands.append(operand)
        if self.answered_by_index is not None:
            asked = self.answered_by_index
            heard = (asked, *self.options.isolation.names)
            grouped = {name: grouped[name] for name in dict.fromkeys(heard) if name in grouped}
        for name, conditions in grouped.items():
            target = self.options.by_name[name]
            if target.has_own_answers and name != self.answered_by_index:
                compiled_parts = [
                    self._custom(target, part, dict(pairs), scope) for part in once_each(conditions)
                ]
            else:
                compiled_parts = [self._field_operand(target, conditions, scope)]
            for compiled in compiled_parts:
                while compiled.resolve is not None:
                    compiled = yield from compiled.resolve()  # noqa: PLW2901
                operands.append(compiled)
        for tree in conjunction.trees:
            operands.append((yield self._tree(tree, scope)))  # noqa: PERF401 - yields
        return self._joined(operands, scope)

    def _joined(self, operands: list[Operand], scope: Scope) -> Operand:
        if not operands:
            return _unconditional()
        direct = self._direct_keys(scope)
        if direct is None and len(operands) == 1:
            return operands[0]
        nodes = [operand.node for operand in operands]
        if direct is not None:
            nodes.append(direct)
        tests = [operand.test for operand in operands]
        inexact = [operand for operand in operands if not operand.exact]
        joined = Operand(
            all_of(nodes),
            tests[0] if len(tests) == 1 else lambda view: all(test(view) for test in tests),
            not inexact,
            frozenset[str]().union(*(operand.needs for operand in operands)),
            shown=tuple(look for operand in operands for look in operand.shown),
        )
        for operand in operands:
            joined.extra = {**operand.extra, **joined.extra}
            if operand.order_field is not None and joined.order_field is None:
                joined.order_field = operand.order_field
                joined.order_key = operand.order_key
        return joined

    def _direct_keys(self, scope: Scope) -> RecordKeys | None:
        """The records themselves, where every key field is fixed."""
        names = self.options.key_names
        choices = [scope.fixed.get(name) for name in names]
        count = 1
        for choice in choices:
            if choice is None:
                return None
            count *= len(choice)
        if count > _MAX_DIRECT_KEYS or not any(
            not self.options.by_name[name].keeps_value_sets for name in names
        ):
            # The sets of the key fields' values find the record just as well.
            return None
        found = [
            key
            for values in product(*(choice for choice in choices if choice is not None))
            for key in record_keys(self.options, dict(zip(names, values, strict=True)))
        ]
        return RecordKeys(tuple(found))

    # Conditions of one field --------------------------------------------------------------

    def _grouped(self, pairs: Sequence[tuple[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
        """Conditions by field, in the order in which the fields appear."""
        grouped: dict[str, list[tuple[str, Any]]] = {}
        unknown: list[str] = []
        for parameter, operand in pairs:
            found = self._field_of(parameter)
            if found is None:
                unknown.append(parameter)
            else:
                name, lookup = found
                grouped.setdefault(name, []).append((lookup, operand))
        if unknown:
            raise self._unknown(unknown)
        return grouped

    def _field_of(self, parameter: str) -> tuple[str, str] | None:
        name = self.options.field_of_parameter.get(parameter)
        if name is None:
            # The separator may be part of the name, if it is a private one.
            names = [each for each in self.options.by_name if parameter.startswith(f"{each}__")]
            if not names:
                return None
            name = max(names, key=len)
        return name, parameter[len(name) :].removeprefix("__")

    def _unknown(self, parameters: list[str]) -> QueryException:
        reserved = [parameter for parameter in parameters if parameter in RESERVED_NAMES]
        if reserved:
            return QueryException(
                f"{self.options.model_name}: {', '.join(reserved)} is no condition: give it to "
                "filter() itself, not to a Q object"
            )
        known = sorted(self.options.field_of_parameter)
        hints: list[str] = []
        for parameter in parameters:
            close = difflib.get_close_matches(parameter, known, n=3)
            hints.append(f"{parameter!r}" + (f" (close to {', '.join(close)})" if close else ""))
        return QueryException(
            f"{self.options.model_name} has no filter parameter {', '.join(hints)}; "
            f"known are {', '.join(known)}"
        )

    def _scope(self, grouped: dict[str, list[tuple[str, Any]]], outer: Scope) -> Scope:
        fixed: dict[str, Sequence[Any]] = dict(outer.fixed)
        for name, conditions in grouped.items():
            target = self.options.by_name[name]
            for lookup, operand in conditions:
                if lookup == "":
                    fixed[name] = [target.coerce_operand(lookup, operand)]
                elif lookup == "in" and isinstance(operand, (list, tuple, set, frozenset)):
                    members = cast("Iterable[object]", operand)
                    fixed.setdefault(
                        name, [target.coerce_operand(lookup, member) for member in members]
                    )
        return Scope(fixed)

    def _field_operand(
        self, target: AnyField, conditions: list[tuple[str, Any]], scope: Scope
    ) -> Operand:
        if not target.makes_entries and not target.key:
            # The wording of popoto 1.6, where the client did it.
            logger.debug(
                "Client-side filter: %s has no index, so the stored %s of each candidate is "
                "compared",
                target.label,
                target.name,
            )
            if self._is_choice_of_partitions(target, conditions):
                return by_record(target, conditions)
        if target.wants_distances(conditions):
            self.wants_distances = True
        return target.operand(conditions, scope)

    def _is_choice_of_partitions(self, target: AnyField, conditions: list[tuple[str, Any]]) -> bool:
        """Whether a plain field is asked for one of several values, which name partitions."""
        asked = {lookup for lookup, _ in conditions}
        return (
            "in" in asked
            and asked <= {"", "in", "ne"}
            and any(target.name in field.partition_names for field in self.options.entry_fields)
        )

    def _custom(
        self,
        target: AnyField,
        conditions: list[tuple[str, Any]],
        pairs: Mapping[str, Any],
        scope: Scope,
    ) -> Operand:
        """Conditions on a field with a `filter_query` of its own: it is asked for the keys.

        It answers what it announces. What it does not, equality first of all, is answered as it is
        for the field that it extends.
        """
        announced = self.options.filter_query_params_by_field[target.name]
        params: dict[str, Any] = {}
        answered: list[tuple[str, Any]] = []
        compared: list[tuple[str, Any]] = []
        for lookup, operand in conditions:
            name = keyword_of(target.name, lookup)
            if name in announced:
                params[name] = operand
                answered.append((lookup, operand))
            elif announced and not target.answers_unannounced(lookup):
                raise self._unknown([name])
            else:
                compared.append((lookup, operand))
        if not params:
            return self._field_operand(target, compared, scope)
        if target.is_told_all_conditions:
            params = {**partitions(target, scope), **pairs, **params}

        def resolve() -> Plan[Operand]:
            operand = yield from answer(self.model, target, params, answered, self._whole)
            if not compared:
                return operand
            plain = self._field_operand(target, compared, scope)
            return self._joined([operand, plain], scope)

        return Operand(EVERYTHING, _always, False, resolve=resolve)


def _unconditional() -> Operand:
    return Operand(EVERYTHING, _always)


def _either(operands: list[Operand]) -> Operand:
    tests = [operand.test for operand in operands]
    return Operand(
        any_of([operand.node for operand in operands]),
        lambda view: any(test(view) for test in tests),
        all(operand.exact for operand in operands),
        frozenset[str]().union(*(operand.needs for operand in operands)),
    )


def _alternatives(q: Q) -> list[Q]:
    """What an OR joins, with the ORs below it: ``a | b | c`` is nested to the left."""
    found: list[Q] = []
    waiting = [q]
    while waiting:
        each = waiting.pop()
        if each is q or (each.children and each.connector != AND and not each.negated):
            waiting.extend(reversed(each.children))
        elif not each.is_empty:
            found.append(each)
    return found


def _complement(operand: Operand) -> Operand:
    test: Callable[[View], bool] = operand.test
    return Operand(
        negated(operand.node) if operand.exact else EVERYTHING,
        lambda view: not test(view),
        operand.exact,
        operand.needs,
    )
