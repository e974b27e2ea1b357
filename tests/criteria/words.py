"""What a result says to its reader, in the form that tables of expected words have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import Json, result, screen


def row(name: str, criterion: str, said: str, facts: str, content: Json, **how: Any) -> Any:
    """A row of such a table.

    Args:
        said: the sentence, and each advisory on a line of its own.
        facts: what the result rests on, in its order: the ids of the base chart, and for what a
            test adds without an id its number among these.
    """
    return pytest.param(criterion, said, facts, content, how, id=name)


def words_and_facts(content: Json, criterion: str, **how: Any) -> tuple[str, str]:
    """The words and facts of one criterion, as a row has them."""
    found = result(screen(content, **how), criterion)
    numbered: dict[str, str] = {}
    for entry in content["entry"]:
        id_ = entry["resource"]["id"]
        if id_.startswith("x"):
            numbered[id_] = str(len(numbered) + 1)
    ids = [one.reference.partition("/")[2] for one in found.evidence]
    return (
        "\n".join([found.summary, *found.advisories]),
        " ".join(numbered.get(one, one) for one in ids),
    )
