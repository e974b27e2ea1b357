"""What every rule of a trial file is made of: concepts, outcomes, and the base of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict

Concept = str
Outcomes = dict[str, frozenset[str]]


@dataclass(frozen=True)
class ReadFrom:
    """Marks a rule's concepts as codes of resources that are searched for by code."""

    resource_type: str


# What a rule looks for among results; the search plan asks the server for these codes only.
Results = Annotated[tuple[Concept, ...], ReadFrom("Observation")]


def outcomes(**keys: str) -> Outcomes:
    """What a rule may find: by its key, the values that its words may mention."""
    return {key: frozenset(values.split()) for key, values in keys.items()}


class RuleModel(BaseModel):
    """Base of every rule: unknown parameters are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    OUTCOMES: ClassVar[Outcomes] = {}

    def concepts_used(self) -> frozenset[Concept]:
        """Every concept this rule names, for the search plan and for checking the tables."""
        found: set[Concept] = set()
        for name, value in self:
            if name in _NOT_CONCEPTS:
                continue
            found.update(_strings(value))
        return frozenset(found)


_NOT_CONCEPTS = frozenset({"kind", "comparison", "direction", "setting", "uln"})


def _strings(value: object) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, tuple | list):
        return {text for item in value for text in _strings(item)}
    if isinstance(value, RuleModel):
        return set(value.concepts_used())
    return set()
