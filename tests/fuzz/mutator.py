"""Changes JSON as JSON: a value goes, comes twice, moves, or becomes another kind of value.

Bytes that are changed blindly are mostly no JSON any more, and never get far.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any, Final

# Values that somewhere mean something else than they seem to.
_ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 10**40, 1e308, 0.1, "", " ", "\0", "\ud800", "null", "0",
    "9999-12-31", "0001-01-01T00:00:00+14:00", "2026-13-45", "#x", "Patient/", "../../x", [], {},
    [None], [[]], {"extension": []}, {"reference": "#"}, {"value": "1"}, {"coding": None}, {"": ""},
)  # fmt: skip
_STEPS = 4


def mutated(data: bytes, most: int, seed: int, otherwise: Callable[[bytes, int], bytes]) -> bytes:
    """Other data, mostly JSON again where these are.

    Args:
        data: JSON, or lines of it.
        most: bytes of the result.
        seed: of the random choices.
        otherwise: changes data that are no JSON, and now and then those that are.
    """
    chance = random.Random(seed)  # noqa: S311  (chooses what to try, and guards nothing)
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    try:
        value = json.loads(lines[place])
    except (ValueError, RecursionError):
        return otherwise(data, most)
    if chance.random() < 0.2:
        return otherwise(data, most)
    for _ in range(chance.randint(1, _STEPS)):
        value = _changed(value, chance)
    lines[place] = json.dumps(value).encode()
    made = b"\n".join(lines)
    return made if len(made) <= most else otherwise(data, most)


def _changed(value: Any, chance: random.Random) -> Any:
    """A value with one change somewhere in it."""
    holders = [one for one in _below(value) if one]
    if not holders:
        return copy.deepcopy(chance.choice(_ODD))
    holder = chance.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = chance.choice(keys)
    donor = chance.choice(holders)
    given = chance.choice([*(donor.values() if isinstance(donor, dict) else donor)])
    change = chance.randrange(5)
    if change == 0:
        del holder[key]
    elif change == 1:
        holder[key] = copy.deepcopy(given)
    elif change == 2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif change == 2:
        holder[f"{key}x"] = copy.deepcopy(holder[key])
    elif change == 3:
        holder[key] = [holder[key]]
    else:
        holder[key] = copy.deepcopy(chance.choice(_ODD))
    return value


def _below(value: Any) -> list[Any]:
    """The objects and lists of a value, itself included."""
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for one in inner for found in _below(one))]
