"""How the guards and commands of a batch are written into the arguments of commit.lua.

In a call for many records, what they ask of one key is written as one step: a thousand
records join their class set by one SADD. The head of ``lua/commit/commit.lua`` lists
what each step looks like there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from popoto.engine.keys import ESCAPED_SEPARATOR
from popoto.engine.request import Argument

#: A guard or a command: its name, its key (None = none) and its arguments.
Step: TypeAlias = tuple[str, str | None, tuple[Argument, ...]]

#: Lua passes some 8,000 arguments to a function at most.
MOST_ARGUMENTS = 5_000


class KeyArgument(str):
    """An argument that names a key: it is declared, and sent as its position."""

    __slots__ = ()


class Declared(dict[str, int]):
    """The keys that a call declares, by position from 1."""

    def at(self, key: str | None) -> int:
        """The position of a key; 0 for none."""
        return 0 if key is None else self.setdefault(key, len(self) + 1)


_At: TypeAlias = Callable[[str | None], int]
_Arguments: TypeAlias = tuple[Argument, ...]

# Guards --------------------------------------------------------------------------------------
# What a guard has in common with others of its name, and what is its own.


def _absent(at: _At, number: int, key: int, rest: tuple[Any, ...]) -> tuple[_Arguments, _Arguments]:
    left_out: tuple[Any, ...] = (None, "", "", None)
    values, member, note, class_set = (*rest, *left_out[len(rest) :])
    return (at(values), at(class_set)), (number, key, member, note)


def _exists(_: _At, number: int, key: int, __: tuple[Any, ...]) -> tuple[_Arguments, _Arguments]:
    return (), (number, key)


def _holds(_: _At, number: int, key: int, rest: tuple[Any, ...]) -> tuple[_Arguments, _Arguments]:
    names = rest[::2]
    return (len(names), *names), (number, key, *rest[1::2])


def _claim(at: _At, number: int, key: int, rest: tuple[Any, ...]) -> tuple[_Arguments, _Arguments]:
    member, old, field, stored, values, coverage = rest
    return (field, at(values or None), at(coverage or None)), (number, key, member, old, stored)


def _unmatched(
    at: _At, number: int, key: int, rest: tuple[Any, ...]
) -> tuple[_Arguments, _Arguments]:
    # Nothing is its own, as no two of them are one: their trees differ.
    named = (at(each) if type(each) is KeyArgument else each for each in rest)
    return (number, key, *named), ()


_GUARDS = {
    "absent": _absent,
    "exists": _exists,
    "holds": _holds,
    "claim": _claim,
    "unmatched": _unmatched,
}


def write_guards(guards: Iterable[Step], keys: Declared, *, together: bool) -> list[Argument]:
    """The guards as commit.lua reads them; `together`: those that have much in common as one."""
    if not together:
        return _one_by_one(guards, keys)
    at = keys.at
    written: list[tuple[str, list[Argument]]] = []
    latest: dict[tuple[str, _Arguments], list[Argument]] = {}
    for number, (name, key, rest) in enumerate(guards, 1):
        form = _GUARDS.get(name)
        if form is None:
            written.append((name, [number, at(key), *rest]))
            continue
        shared, own = form(at, number, at(key), rest)
        arguments = latest.get((name, shared))
        if arguments is None or len(arguments) + len(own) > MOST_ARGUMENTS:
            latest[name, shared] = arguments = [*shared]
            written.append((name, arguments))
        arguments += own
    out: list[Argument] = [len(written)]
    for name, arguments in written:
        out += (name, len(arguments))
        out += arguments
    return out


def _one_by_one(guards: Iterable[Step], keys: Declared) -> list[Argument]:
    out: list[Argument] = [0]
    number = 0
    for number, (name, key, rest) in enumerate(guards, 1):
        position = 0 if key is None else keys.setdefault(key, len(keys) + 1)
        form = _GUARDS.get(name)
        if form is None:
            out += (name, len(rest) + 2, number, position)
            out += rest
        else:
            shared, own = form(keys.at, number, position, rest)
            out += (name, len(shared) + len(own), *shared, *own)
    out[0] = number
    return out


# Commands ------------------------------------------------------------------------------------
# The key that a command is sent with, what it has in common with others, and what is its own.

_Form: TypeAlias = tuple[int, _Arguments, Sequence[Argument]]


def _of_a_value(at: _At, key: int, rest: tuple[Any, ...]) -> _Form:
    member, values, coverage, field, text, has_text = rest
    return at(values), (at(coverage), field), (key, member, text, has_text)


def _of_an_expiry(at: _At, key: int, rest: tuple[Any, ...]) -> _Form:
    registry, values, member = rest
    return at(registry), (at(values),), (key, member)


def _of_a_pointer(at: _At, key: int, rest: tuple[Any, ...]) -> _Form:
    older, record, field, set_key = rest
    return 0, (), (key, at(older), at(record), field, at(set_key))


def _of_no_pointer(at: _At, key: int, rest: tuple[Any, ...]) -> _Form:
    return 0, (), (key, *map(at, rest))


def _of_several_keys(at: _At, key: int, rest: tuple[Any, ...]) -> _Form:
    named = [at(each) if type(each) is KeyArgument else each for each in rest]
    return key, (), tuple(named)


def _of_records(_: _At, key: int, rest: tuple[Any, ...]) -> _Form:
    return 0, (len(rest), *rest), (key,)


_COMMANDS: dict[str, Callable[[_At, int, tuple[Any, ...]], _Form]] = {
    **dict.fromkeys(("ENTER", "LEAVE"), _of_a_value),
    **dict.fromkeys(("RETIRE", "FORGET"), _of_an_expiry),
    "FILL": _of_records,
    "POINT": _of_a_pointer,
    "UNPOINT": _of_no_pointer,
    **dict.fromkeys(("MOVE", "CARRY", "FOLLOW", "RESCHEDULE", "ADD", "KEYED"), _of_several_keys),
    **dict.fromkeys(("EXPIRE-IN", "EXPIRE-AT", "EXPIRE-AS-IS"), _of_several_keys),
}
#: Commands that do for many members at once what they do for one after another.
_OF_MANY = frozenset(
    {"SADD", "SREM", "ZREM", "ENTER", "LEAVE", "RETIRE", "FORGET", "FILL", "POINT", "UNPOINT"}
)
#: Other commands that neither read nor write anything but what belongs to their own key.
_OF_ONE = frozenset(
    {
        *("HSET", "HSETNX", "HDEL", "HDELIF", "SLOT", "ZADD", "GEOADD", "RPUSH", "LPUSH", "LTRIM"),
        *("DEL", "KIND", "PERSIST", "EXPIRE-IN", "EXPIRE-AT", "EXPIRE-AS-IS"),
    }
)


def write_commands(
    commands: Sequence[Step],
    keys: Declared,
    *,
    together: bool,
    keyed: frozenset[str] = frozenset(),
    apart: frozenset[str] = frozenset(),
) -> list[Argument]:
    """The commands as commit.lua reads them; `together`: those on one key as one.

    `keyed` are commands of an extended script that name further keys, `apart` those among
    them that neither read nor write what other commands do.
    """
    if together:
        return _gathered(commands, keys, keyed, _OF_ONE | apart)
    out: list[Argument] = [len(commands)]
    for name, key, rest in commands:
        position = 0 if key is None else keys.setdefault(key, len(keys) + 1)
        form = _COMMANDS.get(name) or (_of_several_keys if name in keyed else None)
        if form is None:
            out += (name, position, len(rest))
            out += rest
        else:
            place, shared, own = form(keys.at, position, rest)
            out += (name, place, len(shared) + len(own), *shared, *own)
    return out


#: In place of a command that others could be joined to.
_NO_COMMAND: tuple[int, list[Argument]] = (-1, [])


def _gathered(
    commands: Sequence[Step], keys: Declared, keyed: frozenset[str], of_one: frozenset[str]
) -> list[Argument]:
    """The commands, those of many members joined to earlier ones that they have all in common with.

    Never past another command on the same key, nor past one that may look at any key.
    """
    written: list[tuple[str, int, _Arguments, Sequence[Argument]]] = []
    latest: dict[tuple[str, int, _Arguments], tuple[int, list[Argument]]] = {}
    touched: dict[int, int] = {}
    for name, key, rest in commands:
        position = 0 if key is None else keys.setdefault(key, len(keys) + 1)
        form = _COMMANDS.get(name) or (_of_several_keys if name in keyed else None)
        place, shared, own = (position, (), rest) if form is None else form(keys.at, position, rest)
        if name == "LEAVE" and ESCAPED_SEPARATOR in str(rest[4]):
            # It looks into the hashes of others (texts.lua), so it stays behind those before it.
            pass
        # With more arguments than one score and its member, ZADD has options.
        elif name in _OF_MANY or (name == "ZADD" and len(own) == 2):
            index, members = latest.get((name, place, shared), _NO_COMMAND)
            has_room = len(members) + len(own) <= MOST_ARGUMENTS
            if has_room and index >= touched.get(position, 0):
                members += own
                touched[position] = index
                continue
            own = members = [*own]
            latest[name, place, shared] = len(written), members
        elif name not in of_one:
            latest.clear()
        touched[position] = len(written)
        written.append((name, place, shared, own))
    out: list[Argument] = [len(written)]
    for name, place, shared, own in written:
        out += (name, place, len(shared) + len(own), *shared, *own)
    return out
