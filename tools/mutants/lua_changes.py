"""The small changes that can be made to a part of a Lua script, one at a time.

Those are of the kinds of changes.py, but for texts: mostly these name commands, and any other name
is an error of the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from pygments.lexers.scripting import LuaLexer
from pygments.token import Comment, Name, Number, Punctuation, String, Whitespace

from tools.mutants.changes import Mutant

_MARKS = {"==": "~=", "~=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_WORDS = {"and": "or", "or": "and", "true": "false", "false": "true"}
_SUMS = {"+": "-", "-": "+", "*": "/", "/": "*"}
_OPENING, _CLOSING = frozenset("({["), frozenset(")}]")
_HEADS = {"if": "then", "elseif": "then", "while": "do"}
#: What a statement cannot end with, and the next line cannot begin with where one has ended.
_GOES_ON = frozenset([*_MARKS, *_SUMS, *_OPENING, *"=,.#:", "..", "and", "or", "not", "return"])
_COMES_AFTER = _GOES_ON - _OPENING - {"#", "not", "return"} | _CLOSING


@dataclass
class _Token:
    kind: object
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def is_value(self) -> bool:
        """Whether a value may end here, so that a minus that follows takes something away."""
        return self.text in _CLOSING or (
            self.text not in _WORDS and any(self.kind in each for each in (Name, Number, String))
        )


@dataclass
class _Line:
    """The words of one line that are no comment."""

    number: int
    #: how many brackets are open where it begins
    depth: int
    tokens: list[_Token] = field(default_factory=list[_Token])

    @property
    def first(self) -> str:
        return self.tokens[0].text

    @property
    def last(self) -> str:
        return self.tokens[-1].text

    @property
    def is_whole(self) -> bool:
        """Whether each bracket that opens on it is closed on it, and none else; no function."""
        depth = 0
        for token in self.tokens:
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
            if depth < 0 or token.text in ("function", "then", "do"):
                return False
        return not depth and not self.depth

    @property
    def says_error(self) -> bool:
        return any("error" in token.text for token in self.tokens)


def lua_mutants_of(root: Path, path: str) -> list[Mutant]:
    """Every change of a part of a script, in the order of its lines."""
    text = (root / path).read_text("utf-8")
    lines = text.splitlines()
    found: list[Mutant] = []
    place = "(part)"
    of_code = _lines_of(text)
    for index, line in enumerate(of_code):
        following = of_code[index + 1].first if index + 1 < len(of_code) else ""
        preceding = of_code[index - 1].last if index else ""
        place = _function_of(line) or place
        for start, end, replacement in _changes(line, text, preceding, following):
            changed = text[:start] + replacement + text[end:]
            before = lines[line.number - 1].strip()
            after = changed.splitlines()[line.number - 1].strip() or "(left out)"
            around = range(line.number, line.number + 1)
            data = changed.encode("utf-8")
            found.append(Mutant(path, line.number, around, place, before, after, data))
    return found


def _lines_of(text: str) -> list[_Line]:
    """The lines that hold anything but comments."""
    found: list[_Line] = []
    number, depth = 1, 0
    for start, kind, value in LuaLexer().get_tokens_unprocessed(text):
        if kind not in Comment and kind not in Whitespace and value.strip():
            if not found or found[-1].number != number:
                found.append(_Line(number, depth))
            # The lexer takes brackets that follow each other as one.
            parts = value if kind in Punctuation else [value]
            for place, part in enumerate(parts):
                found[-1].tokens.append(_Token(kind, part, start + place))
                depth += (part in _OPENING) - (part in _CLOSING)
        number += value.count("\n")
    return found


def _function_of(line: _Line) -> str:
    """The name of the function that begins on a line."""
    texts = [token.text for token in line.tokens]
    if "function" not in texts:
        return ""
    after = texts[texts.index("function") + 1 :]
    name = "".join(after[: after.index("(")]) if "(" in after else ""
    return name or (texts[0] if texts[1:2] == ["="] else "")


def _changes(
    line: _Line, text: str, preceding: str, following: str
) -> Iterator[tuple[int, int, str]]:
    """What to replace on a line: from where to where, and by what."""
    if not line.says_error:  # what an error says is for people
        yield from _of_words(line)
    yield from _of_conditions(line, text)
    begun = preceding in _GOES_ON or following in _COMES_AFTER
    if line.is_whole and not begun and line.last not in _GOES_ON:
        yield from _of_statements(line)


def _of_words(line: _Line) -> Iterator[tuple[int, int, str]]:
    previous: _Token | None = None
    for token, following in zip_longest(line.tokens, line.tokens[1:]):
        other = _MARKS.get(token.text) or _WORDS.get(token.text)
        # What 0 is added to becomes a number, and nothing else.
        if other is None and previous is not None and previous.is_value and not _is_0(following):
            other = _SUMS.get(token.text)
        if token.kind in Number:
            other = _one_more(token.text)
        elif token.text == "not":
            other = ""
        if other is not None:
            yield token.start, token.end, other
        previous = token


def _is_0(token: _Token | None) -> bool:
    return token is not None and token.text == "0"


def _one_more(number: str) -> str | None:
    try:
        return str(int(number) + 1)
    except ValueError:
        return f"({number} + 1)"


def _of_conditions(line: _Line, text: str) -> Iterator[tuple[int, int, str]]:
    """The opposite of those that are changed in no other way."""
    inner = line.tokens[1:-1]
    if not inner or _HEADS.get(line.first) != line.last:
        return
    if not any(token.text in _MARKS or token.text in ("and", "or", "not") for token in inner):
        start, end = inner[0].start, inner[-1].end
        yield start, end, f"not ({text[start:end]})"


def _of_statements(line: _Line) -> Iterator[tuple[int, int, str]]:
    """What is done by a line is left out, and what it returns is nothing."""
    start, end = line.tokens[0].start, line.tokens[-1].end
    texts = [token.text for token in line.tokens]
    if line.first == "return":
        if texts[1:] not in ([], ["nil"], ["true"], ["false"]):
            yield start, end, "return nil"
    elif line.first == "break" or (line.tokens[0].kind in Name and ("=" in texts or _calls(texts))):
        yield start, end, ""


def _calls(texts: list[str]) -> bool:
    return len(texts) > 2 and texts[-1] == ")"
