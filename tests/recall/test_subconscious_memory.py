"""`SubconsciousMemory`: context before a turn, memories after it, outcomes."""

from __future__ import annotations

from typing import Any

import pytest

from popoto import (
    AssemblyResult,
    ConfidenceField,
    ContextAssembler,
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    KeyField,
    Model,
    RecallProposal,
    StringField,
    WriteFilterMixin,
)
from popoto.fields.shortcuts import AutoKeyField
from popoto.recipes import SubconsciousMemory
from tests.driver import Api


class Memory(WriteFilterMixin, Model):
    memory_id = AutoKeyField()
    agent_id = KeyField()
    content = StringField(default="")
    importance = FloatField(default=0.5)
    relevance = DecayingSortedField(base_score_field="importance", partition_by="agent_id")
    confidence = ConfidenceField(0.5)

    def compute_filter_score(self) -> float:
        return self.importance


class Errand(Model):
    """Its records surface unasked."""

    memory_id = AutoKeyField()
    owner = KeyField()
    body = StringField(default="")
    urgent = CyclicDecayField(partition_by="owner")


class Note(Model):
    memory_id = AutoKeyField()
    owner = KeyField()
    body = StringField(default="")
    weight = FloatField(default=0.5)
    relevance = DecayingSortedField(partition_by="owner")


@pytest.fixture
def memory() -> SubconsciousMemory:
    return SubconsciousMemory(Memory, "ada", {"relevance": 1.0})


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def system(text: Any) -> dict[str, Any]:
    return {"role": "system", "content": text}


def test_context_goes_into_a_new_system_message(api: Api, memory: SubconsciousMemory) -> None:
    Memory.create(agent_id="ada", content="Deploys happen on Mondays.")
    Memory.create(agent_id="bob", content="A secret.")
    given = [user("When do we deploy?")]
    messages, result = api(memory.inject_context, given)
    assert given == [user("When do we deploy?")]
    assert messages[1:] == given
    text = messages[0]["content"]
    assert text == f"You are a helpful assistant.\n\nRelevant context:\n{result.formatted}"
    assert "Mondays" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "content", ["Be brief.", "", None, [{"type": "text", "text": "Be brief."}]]
)
def test_a_system_message_is_replaced_in_the_list(
    api: Api, memory: SubconsciousMemory, content: Any
) -> None:
    Memory.create(agent_id="ada", content="Deploys happen on Mondays.")
    first = system(content)
    given = [first, user("When?")]
    for _ in range(2):
        messages, result = api(memory.inject_context, given)
        assert messages is given
        told = str(given[0]["content"])
        assert told.count("Relevant context:") == 1
        assert "Be brief." in told or not content
    assert first == system(content)
    assert len(result.records) == 1


def test_what_was_written_behind_the_memories_stays(api: Api, memory: SubconsciousMemory) -> None:
    Memory.create(agent_id="ada", content='Deploys ] happen "on" Mondays.')
    given = [system("Be brief."), user("When?")]
    api(memory.inject_context, given)
    given[0]["content"] += "\n\nAnswer in French."
    api(memory.inject_context, given)
    text = given[0]["content"]
    assert text.startswith("Be brief.\n\nAnswer in French.\n\nRelevant context:\n")
    assert text.count("Mondays") == 1
    given[0]["content"] = "Be brief.\n\nRelevant context:\n[what somebody has cut"
    api(memory.inject_context, given)
    assert given[0]["content"].startswith("Be brief.\n\nRelevant context:\n[\n")
    assert "has cut" not in given[0]["content"]


def test_the_assembler_is_asked_by_name(
    api: Api, memory: SubconsciousMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As 1.6 asks it, for those who put something in its place.
    seen: list[dict[str, Any]] = []

    def assemble(_: ContextAssembler, **asked: Any) -> AssemblyResult:
        seen.append(asked)
        return AssemblyResult()

    async def async_assemble(_: ContextAssembler, **asked: Any) -> AssemblyResult:
        return assemble(_, **asked)

    monkeypatch.setattr(ContextAssembler, "assemble", assemble)
    monkeypatch.setattr(ContextAssembler, "async_assemble", async_assemble)
    api(memory.inject_context, [user("When do we deploy?")])
    assert seen == [{"query_cues": {"topic": "When do we deploy?"}, "agent_id": "ada"}]


def test_nothing_to_inject(api: Api, memory: SubconsciousMemory) -> None:
    for given in (None, [], [user("When?")], [system("s")], [user("")]):
        messages, result = api(memory.inject_context, given)
        assert messages is given
        assert result.records == []
    Memory.create(agent_id="ada", content="Deploys happen on Mondays.")
    for given in ([system("s")], [user(" ")], [user(None)], [user([{"type": "image"}])]):
        assert api(memory.inject_context, given)[1].records == []
    parts = [user([{"type": "text", "text": "When?"}, {"type": "image"}])]
    assert len(api(memory.inject_context, parts)[1].records) == 1


def test_a_system_message_of_no_text_is_refused_however_little_is_remembered(
    api: Api, memory: SubconsciousMemory
) -> None:
    with pytest.raises(TypeError, match="a text, a list of parts or None"):
        api(memory.inject_context, [system(5), user("When?")])


@pytest.mark.parametrize("content", [5, {"a": 1}, b"text"])
def test_content_that_is_neither_text_nor_parts_is_refused_before_anything_is_read(
    api: Api, memory: SubconsciousMemory, content: Any
) -> None:
    Memory.create(agent_id="ada", content="Deploys happen on Mondays.")
    for messages in ([user(content)], [system(content), user("When?")]):
        with pytest.raises(TypeError, match="a text, a list of parts or None"):
            api(memory.inject_context, messages)
        assert messages[0]["content"] == content


def test_other_names_of_fields(api: Api) -> None:
    memory = SubconsciousMemory(
        *(Note, "ada", {"relevance": 1}),
        content_field="body",
        importance_field="weight",
        agent_id_field="owner",
    )
    (kept,) = api(memory.extract_memories, "Deploys happen on Mondays.", 0.8)
    assert (kept.owner, kept.body, kept.weight) == ("ada", "Deploys happen on Mondays.", 0.8)
    assert len(api(memory.inject_context, [user("When?")])[1].records) == 1


def test_sentences_become_memories(api: Api, memory: SubconsciousMemory) -> None:
    kept = api(memory.extract_memories, "Short. Deploys happen on Mondays! Is it so, really?")
    assert [each.content for each in kept] == ["Deploys happen on Mondays!", "Is it so, really?"]
    assert {(each.agent_id, each.importance) for each in kept} == {("ada", 0.5)}
    for nothing in (None, "", "  "):
        assert api(memory.extract_memories, nothing) == []
    memory.extraction_min_length = 6
    assert len(api(memory.extract_memories, "Short.")) == 1
    assert api(memory.extract_memories, "Not worth keeping.", importance=0.0) == []


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Is this working? Yes it is! Great news.", 3),
        ("Version 3.14 was released. It includes fixes.", 2),
        ("- item one. - item two. - item three.", 3),
        ("- item one\n- item two", 1),
        ("Hello world.No space here.", 1),
        ("Wait... what happened?! Ok then.", 3),
        ('He said "stop." Then left.', 2),
        ("Dr. Smith agrees with e.g. this one.", 1),
        ("很好的结果。这是第二句。", 2),
        ("", 0),
    ],
)
def test_splitting(text: str, pieces: int) -> None:
    assert len(SubconsciousMemory._split_sentences(text)) == pieces


def test_outcomes(api: Api, memory: SubconsciousMemory) -> None:
    Memory.create(agent_id="ada", content="Deploys happen on Mondays.")
    _, result = api(memory.inject_context, [user("When?")])
    confidences = []
    for outcome in ("acted", "used", "dismissed", "contradicted", "deferred"):
        api(memory.report_outcomes, result, outcome)
        confidences.append(ConfidenceField.get_confidence(result.records[0], "confidence"))
    assert confidences == pytest.approx([0.9, 0.9, 0.9, 0.334315, 0.334315], rel=1e-5)
    api(memory.report_outcomes, None)
    with pytest.raises(ValueError, match="nonsense"):
        api(memory.report_outcomes, result, "nonsense")
    assert RecallProposal.get_pending(Memory, "ada") == []


class Numbered(Model):
    memory_id = AutoKeyField()
    owner = KeyField(type=int)
    body = StringField(default="")
    urgent = CyclicDecayField(partition_by="owner")


@pytest.mark.parametrize(("Kept", "owners"), [(Errand, ("ada", "bob")), (Numbered, (7, 8))])
def test_what_surfaced_is_proposed_to_its_agent_until_an_outcome(
    api: Api, Kept: Any, owners: tuple[Any, Any]
) -> None:
    for owner in owners:
        Kept.create(owner=owner, body=f"{owner} has to water the plants.")
    reports = {}
    for owner in owners:
        memory = SubconsciousMemory(Kept, owner, {}, content_field="body", agent_id_field="owner")
        _, result = api(memory.inject_context, [system("Be brief.")])
        reports[owner] = memory, result
        assert [record.owner for record in result.proactive] == [owner]
    assert RecallProposal.get_pending(Kept) == []
    for owner, (memory, result) in reports.items():
        proposed = [key for key, _ in RecallProposal.get_pending(Kept, owner)]
        assert proposed == [result.records[0].pk]
        api(memory.report_outcomes, result, "dismissed")
        assert RecallProposal.get_pending(Kept, owner) == []


def test_repeated_sentences_are_kept_or_not(
    api: Api, memory: SubconsciousMemory, round_trips: Any
) -> None:
    text = "The sky is blue today. The sky is blue today. The grass is green."
    assert len(api(memory.extract_memories, text)) == 3
    sparing = SubconsciousMemory(memory.model_class, "ada", {"relevance": 1}, keeps_repeated=False)
    other = SubconsciousMemory(memory.model_class, "bob", {"relevance": 1}, keeps_repeated=False)
    assert api(sparing.extract_memories, text) == []
    assert [each.content for each in api(other.extract_memories, text)] == [
        "The sky is blue today.",
        "The grass is green.",
    ]
    assert api(other.extract_memories, text) == []
    with round_trips() as seen:
        (kept,) = api(other.extract_memories, f"{text} The sea is wide and deep.")
    assert kept.content == "The sea is wide and deep."
    assert seen.sends == 2
    with round_trips() as nothing:
        assert api(other.extract_memories, "Short.") == []
    assert nothing.sends == 0
