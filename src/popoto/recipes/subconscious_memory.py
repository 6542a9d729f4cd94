"""`SubconsciousMemory`: memory around the turns of a language model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Final, TypeAlias, TypeGuard, cast

from popoto._unknown_names import closest, is_strict, slip_of, tell
from popoto.exceptions import QueryException
from popoto.fields.asking.conditions import Q
from popoto.fields.describing import describe
from popoto.fields.given import flag_in, number_in
from popoto.fields.observation import ObservationProtocol
from popoto.memory.text.sentences import sentences
from popoto.recipes.context_assembler import AssemblyResult, ContextAssembler
from popoto.recipes.default_memory import DefaultMemory

__all__ = [
    "DEFAULT_EXTRACTION_MIN_LENGTH",
    "DEFAULT_SCORE_WEIGHTS",
    "DEFAULT_SYSTEM_PREAMBLE",
    "SubconsciousMemory",
]

DEFAULT_EXTRACTION_MIN_LENGTH: Final = 10
DEFAULT_SCORE_WEIGHTS: Final[Mapping[str, float]] = {"relevance": 1.0}
DEFAULT_SYSTEM_PREAMBLE: Final = "You are a helpful assistant."

Message: TypeAlias = dict[str, Any]

#: Roles that are read, or that no role is likely to be a slip of, and what others call them.
_ROLES: Final = ("user", "system", "assistant")
_OTHER_ROLES: Final[Mapping[str, str]] = {"human": "user"}

_HEADING: Final = "\n\nRelevant context:\n"
#: Memories as lines, or as elements of XML. None of them contains what ends it.
_LINES: Final = re.compile(r"(?:- .*\n)*- .*|(?:\d+\. .*\n)*\d+\. .*|(?s:<records>.*?</records>)")


class SubconsciousMemory:
    """Puts what an agent remembers in front of its model, and keeps what the model says.

    `model_class`            the memories, with fields for their text, importance and agent;
                             `DefaultMemory` if left out
    `agent_id`               whose memories they are; it has to be told
    `score_weights`, `max_items`, `max_tokens`   as for `ContextAssembler`; by default the field
                             `relevance` counts, if there is one
    `extraction_min_length`  sentences that are shorter are not kept
    `system_preamble`        what a system message begins with, where there is none yet
    `content_field`, `importance_field`, `agent_id_field`   names of the fields; None for the
                             second: importance is not kept
    `keeps_repeated`         whether a sentence is kept that the agent has a memory of already
    `output_format`          how memories are shown (`ContextAssembler`): by default structured, and
                             of `DefaultMemory` the texts alone (content)

    Methods that ask the server have native asyncio twins, ``async_…``.
    """

    def __init__(
        self,
        model_class: Any = None,
        agent_id: str | None = None,
        score_weights: Mapping[str, float] | None = None,
        max_items: int = 10,
        max_tokens: int | None = 4000,
        extraction_min_length: int = DEFAULT_EXTRACTION_MIN_LENGTH,
        system_preamble: str = DEFAULT_SYSTEM_PREAMBLE,
        content_field: str = "content",
        importance_field: str | None = "importance",
        agent_id_field: str = "agent_id",
        *,
        keeps_repeated: bool = True,
        output_format: str | None = None,
    ) -> None:
        if agent_id is None:
            raise ValueError(
                "SubconsciousMemory needs agent_id, or all agents would share their memories: "
                'SubconsciousMemory(agent_id="ada")'
            )
        if not isinstance(system_preamble, str):
            raise TypeError(f"system_preamble must be a text, got {describe(system_preamble)}")
        number_in(extraction_min_length, "extraction_min_length", infinite=True)
        if output_format is None:
            output_format = "content" if model_class is None else "structured"
        self.model_class: Any = DefaultMemory if model_class is None else model_class
        self.agent_id = agent_id
        self.score_weights = (
            _usual_weights(self.model_class) if score_weights is None else score_weights
        )
        self.max_items = max_items
        self.max_tokens = max_tokens
        self.extraction_min_length = extraction_min_length
        self.system_preamble = system_preamble
        self.content_field = content_field
        self.importance_field = importance_field
        self.agent_id_field = agent_id_field
        self.keeps_repeated = flag_in(keeps_repeated, "keeps_repeated")
        self.output_format = output_format
        fields = getattr(getattr(self.model_class, "_meta", None), "by_name", ())
        if fields and importance_field not in (None, "importance", *fields):
            tell(
                f"SubconsciousMemory(importance_field={importance_field!r}): "
                f"{self.model_class.__name__} has no such field, so importance is not stored; "
                f"{closest(str(importance_field), fields, 'fields')}",
                refuse=is_strict(self.model_class._meta.strict),
            )
        shows_content = output_format == "content" or content_field in fields
        self._assembler = ContextAssembler(
            self.model_class,
            self.score_weights,
            max_items=max_items,
            max_tokens=max_tokens,
            output_format=output_format,
            content_field=content_field if shows_content else None,
            agent_id_field=agent_id_field,
        )

    # Before the turn --------------------------------------------------------------

    def inject_context(
        self, messages: list[Message] | None
    ) -> tuple[list[Message] | None, AssemblyResult]:
        """The messages with what is remembered, and what that is.

        The last message of the user is the cue. A system message that comes first is replaced, in
        the list, by a copy with the memories below its text, instead of those of an earlier
        call; without one a new list begins with one. Raises what `ContextAssembler.assemble` does,
        and TypeError for what is no list of messages. A message that nothing reads, as it lacks a
        role or has a misspelled one, gives a UserWarning (UnknownNameError where names are strict).
        """
        if not _are_any(messages):
            return messages, AssemblyResult()
        result = self._assembler.assemble(query_cues=_cues_of(messages), agent_id=self.agent_id)
        return self._injected(messages, result)

    async def async_inject_context(
        self, messages: list[Message] | None
    ) -> tuple[list[Message] | None, AssemblyResult]:
        """`inject_context` for asyncio."""
        if not _are_any(messages):
            return messages, AssemblyResult()
        result = await self._assembler.async_assemble(
            query_cues=_cues_of(messages), agent_id=self.agent_id
        )
        return self._injected(messages, result)

    def _injected(
        self, messages: list[Message], result: AssemblyResult
    ) -> tuple[list[Message], AssemblyResult]:
        if not result.formatted or not result.records:
            return messages, result
        block = _HEADING + result.formatted
        first = messages[0]
        if first.get("role") != "system":
            return [{"role": "system", "content": self.system_preamble + block}, *messages], result
        messages[0] = {**first, "content": _with_block(first.get("content"), block)}
        return messages, result

    # After the turn ---------------------------------------------------------------

    def extract_memories(self, response_text: str | None, importance: float = 0.5) -> list[Any]:
        """The sentences of an answer as records; those that were saved.

        One command for each; one more where repeated ones are not kept.
        """
        texts = self._texts(response_text)
        known = [] if self.keeps_repeated or not texts else list(self._alike(texts))
        memories = self._memories(texts, known, importance)
        return [memory for memory in memories if memory.save() is not False]

    async def async_extract_memories(
        self, response_text: str | None, importance: float = 0.5
    ) -> list[Any]:
        """`extract_memories` for asyncio."""
        texts = self._texts(response_text)
        known: list[Any] = []
        if texts and not self.keeps_repeated:
            known = await self._alike(texts).async_all()
        memories = self._memories(texts, known, importance)
        return [memory for memory in memories if await memory.async_save() is not False]

    def _texts(self, text: str | None) -> list[str]:
        given: object = text
        if given is not None and not isinstance(given, str):
            raise TypeError(f"extract_memories() takes the text of an answer, got {describe(text)}")
        found = self._split_sentences(text or "")
        return [sentence for sentence in found if len(sentence) >= self.extraction_min_length]

    def _alike(self, texts: Sequence[str]) -> Any:
        """The query for the agent's memories of these texts."""
        alike = [Q(**{self.content_field: text}) for text in dict.fromkeys(texts)]
        own = {self.agent_id_field: self.agent_id}
        return self.model_class.query.filter(reduce(Q.__or__, alike), **own).no_track()

    def _memories(
        self, texts: Sequence[str], known: Sequence[Any], importance: float
    ) -> Iterator[Any]:
        wanted = list(texts)
        if not self.keeps_repeated:
            there = {getattr(memory, self.content_field) for memory in known}
            wanted = [text for text in dict.fromkeys(texts) if text not in there]
        number_in(importance, "importance")
        shared: dict[str, Any] = {self.agent_id_field: self.agent_id}
        if self.importance_field is not None:
            shared[self.importance_field] = importance
        if wanted:
            self._check_fields(shared)
        for text in wanted:
            yield self.model_class(**shared, **{self.content_field: text})

    def _check_fields(self, shared: dict[str, Any]) -> None:
        """Leave out what nobody has asked to be kept. Raises QueryException for what would lack."""
        fields = self.model_class._meta.by_name
        for setting in ("content_field", "agent_id_field"):
            name = getattr(self, setting)
            if name not in fields:
                raise QueryException(
                    f"SubconsciousMemory({setting}={name!r}): {self.model_class.__name__} has no "
                    f"such field, so memories would lack it; fields are {', '.join(fields)}"
                )
        if self.importance_field == "importance" and "importance" not in fields:
            del shared[self.importance_field]

    @staticmethod
    def _split_sentences(text: str) -> list[str]:
        return sentences(text)

    def report_outcomes(
        self, assembly_result: AssemblyResult | None, outcome: str = "acted"
    ) -> None:
        """Let the records of a context learn what became of it (`ObservationProtocol`).

        Raises ValueError for an outcome that is none. One command.
        """
        if records := _records_of(assembly_result):
            ObservationProtocol.on_context_used(records, self._outcomes(records, outcome))

    async def async_report_outcomes(
        self, assembly_result: AssemblyResult | None, outcome: str = "acted"
    ) -> None:
        """`report_outcomes` for asyncio."""
        if records := _records_of(assembly_result):
            outcomes = self._outcomes(records, outcome)
            await ObservationProtocol.async_on_context_used(records, outcomes)

    @staticmethod
    def _outcomes(records: Sequence[Any], outcome: str) -> dict[str, str]:
        return {record.pk: outcome for record in records}


def _records_of(result: Any) -> Sequence[Any]:
    """The records of a context. Raises TypeError for what is none."""
    if result is not None and not hasattr(result, "records"):
        raise TypeError(
            "report_outcomes() takes the AssemblyResult that inject_context() returned, got "
            f"{describe(result)}"
        )
    return () if result is None else result.records


def _usual_weights(model: Any) -> dict[str, float]:
    weights = DEFAULT_SCORE_WEIGHTS.items()
    return {name: weight for name, weight in weights if name in model._meta.by_name}


def _are_any(messages: list[Message] | None) -> TypeGuard[list[Message]]:
    """Whether there are messages. Raises TypeError for what is no list of such."""
    given: object = messages
    if given is None:
        return False
    items = cast("list[object]", given) if isinstance(given, list) else None
    if items is None or not all(isinstance(each, Mapping) for each in items):
        raise TypeError(
            "inject_context() takes a list of messages, such as "
            f"[{{'role': 'user', 'content': '…'}}], got {describe(given)}"
        )
    for place, message in enumerate(cast("list[Message]", items)):
        _tell_of_message(place, message)
    first = cast("list[Message]", items)[:1]
    if first and first[0].get("role") == "system":
        _parts_of(first[0].get("content"))
    return bool(items)


def _tell_of_message(place: int, message: Mapping[str, Any]) -> None:
    """Tell of one that nothing reads, though it looks as if somebody meant it to be read."""
    role = message.get("role")
    meant = isinstance(role, str) and (_OTHER_ROLES.get(role) or slip_of(role, _ROLES))
    if not isinstance(role, str):
        problem = (
            f"has no role, such as 'user' or 'system', so nothing reads it: {describe(message)}"
        )
    elif role == "user" and "content" not in message:
        problem = f"is of the user and has no 'content', so nothing reads it: {describe(message)}"
    elif meant:
        problem = f"has the role {role!r}, which nothing reads; did you mean {meant!r}?"
    else:
        return
    tell(f"inject_context(): message {place} {problem}", refuse=is_strict())


def _parts_of(content: Any) -> list[Any]:
    """The content of a message, a text or a list of parts, as parts. Raises TypeError."""
    if content is None or isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, (list, tuple)):
        raise TypeError(
            f"the content of a message is a text, a list of parts or None, got {describe(content)}"
        )
    return list(cast("Sequence[Any]", content))


def _cues_of(messages: Sequence[Message]) -> dict[str, str]:
    """The last words of the user, if there are any."""
    for message in reversed(messages):
        text = _text_of(message.get("content")) if message.get("role") == "user" else ""
        if text:
            return {"topic": text}
    return {}


def _text_of(content: Any) -> str:
    """The text of a message, whose content may be a list of parts."""
    return "\n".join(filter(None, map(_text_of_part, _parts_of(content)))).strip()


def _text_of_part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return ""
    text: Any = cast("Mapping[str, Any]", part).get("text")
    return text if isinstance(text, str) else ""


def _with_block(content: Any, block: str) -> Any:
    """A message's content with a block of memories, in place of an earlier one."""
    if content is None or isinstance(content, str):
        return _without_block(content or "") + block
    kept = [part for part in _parts_of(content) if not _text_of_part(part).startswith(_HEADING)]
    return [*kept, {"type": "text", "text": block}]


def _without_block(text: str) -> str:
    """A text without the block of memories that an earlier call has put in.

    What stands behind the block stays: it ends where its JSON, its XML or its lines do. Where that
    was changed by somebody, nobody can tell its end, and everything behind the heading goes.
    """
    before, heading, block = text.partition(_HEADING)
    if not heading:
        return text
    if (lines := _LINES.match(block)) is not None:
        return before + block[lines.end() :]
    try:
        _, end = json.JSONDecoder().raw_decode(block)
    except ValueError:
        return before
    return before + block[end:]
