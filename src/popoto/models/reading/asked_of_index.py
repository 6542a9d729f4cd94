"""What a field's index says to its lookups, for a `filter_query` of the field's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from popoto.engine.request import Plan
from popoto.fields.asking.conditions import Q
from popoto.models.reading.executing import Execution
from popoto.models.reading.own_answers import asking
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.record import Record


def asked_of_index(
    model: type[Record], field_name: str, lookups: Mapping[str, Any]
) -> Plan[list[bytes]]:
    """The plan of `Query.answered_by_index`. Within the partition that the query has fixed."""
    asker = asking(model, field_name)
    conditions = (Q(**lookups), *asker.fixing)
    execution = Execution(QuerySpec(model, conditions, answered_by_index=field_name))
    fetch, order = yield from execution.compile()
    asker.nearness.update(fetch.operand.extra)
    return (yield from fetch.keys(order))
