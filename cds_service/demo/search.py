"""Which resources a FHIR search asks for: how each kind of parameter matches, and sorting.

Pure: takes resources and decoded parameters, gives resources. Covers the part of FHIR R4 search
that the service and a browser EHR use: no chaining, and of the modifiers only a token's ``:not``.
What it does not know it refuses,
since a filter that is ignored silently returns other patients' data.
Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cds_service.demo.search_params import Kind, Param, RequestRefused, Resource, param_of

Interval = tuple[datetime, datetime]

_COMMA = re.compile(r"(?<!\\),")
_BAR = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([\\,|$])")
_PREFIXED = re.compile(r"(eq|ge|le|gt|lt)?(\d.*)")
_MOMENT = re.compile(
    r"(?P<y>\d{4})(?:-(?P<mo>\d\d)(?:-(?P<d>\d\d)(?:T(?P<h>\d\d):(?P<mi>\d\d)"
    r"(?::(?P<s>\d\d)(?:\.\d+)?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def find_resources(
    kind: str, resources: Iterable[Resource], filters: Sequence[tuple[str, str]], sort: str = ""
) -> list[Resource]:
    """The resources of one type that pass every filter, sorted.

    Args:
        kind: the resource type.
        resources: the candidates, all of that type.
        filters: decoded name and value pairs; a repeated name narrows, a comma in a value widens.
        sort: the value of ``_sort``.

    Raises:
        RequestRefused: a parameter is unknown or its value cannot be read.
    """
    tests = [_test(kind, name, value) for name, value in filters]
    found = [resource for resource in resources if all(test(resource) for test in tests)]
    for key in reversed([part for part in sort.split(",") if part]):
        found = _sort_by(kind, key, found)
    return found


def _test(kind: str, name: str, value: str) -> Callable[[Resource], bool]:
    """One filter as a test; ``:not`` holds where nothing matches, an absent element included."""
    plain, _, modifier = name.partition(":")
    param = param_of(kind, plain if modifier == "not" else name)
    if modifier and param.kind != "token":
        raise RequestRefused("only token parameters have the modifier :not")
    choices = _choices(param, value)
    return lambda resource: _matches(param, choices, resource) is (modifier != "not")


def elements_at(resource: Any, path: str) -> Iterator[Any]:
    """Every element at a dotted path, lists flattened; nothing where the shape is another."""
    here, _, rest = path.partition(".")
    value = resource.get(here) if isinstance(resource, dict) else None
    for element in value if isinstance(value, list) else [value]:
        if element is not None:
            yield from elements_at(element, rest) if rest else [element]


def parse_interval(text: str) -> Interval | None:
    """A FHIR date or dateTime as the span of time it covers (end excluded); None if it is not one.

    Without a zone it is read as UTC.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    try:
        return _span(match)
    except (ValueError, OverflowError):
        return None


def _span(match: re.Match[str]) -> Interval:
    year, month, day, hour, minute, second = (
        int(match[group]) if match[group] else None for group in ("y", "mo", "d", "h", "mi", "s")
    )
    zone = datetime.fromisoformat(f"2000-01-01T00:00:00{match['zone'] or 'Z'}").tzinfo
    start = datetime(
        year or 1, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=zone
    )
    if month is None:
        return start, start.replace(year=start.year + 1)
    if day is None:
        return start, (start + timedelta(days=31)).replace(day=1)
    if hour is None:
        return start, start + timedelta(days=1)
    return start, start + (timedelta(minutes=1) if second is None else timedelta(seconds=1))


def _choices(param: Param, value: str) -> list[str]:
    """The alternatives in a parameter's value, each one found readable."""
    choices = [choice for choice in _COMMA.split(value) if choice]
    if not choices:
        raise RequestRefused("a search parameter has no value")
    if param.kind == "date" and not all(
        _PREFIXED.fullmatch(choice) and _wanted(choice) for choice in choices
    ):
        raise RequestRefused(
            "a date is not one this server reads: [eq|ge|le|gt|lt]YYYY[-MM[-DD[Thh:mm:ss[zone]]]]"
        )
    return choices


def _matches(param: Param, choices: Sequence[str], resource: Resource) -> bool:
    test = _TESTS[param.kind]
    elements = [element for path in param.paths for element in elements_at(resource, path)]
    return any(test(choice, element) for choice in choices for element in elements)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _token_matches(choice: str, element: Any) -> bool:
    *system, code = (_unescape(part) for part in _BAR.split(choice, maxsplit=1))
    for found_system, found_code in _codes_in(element):
        if code and found_code != code:
            continue
        # A primitive code has no system of its own to compare with.
        if not system or (code and isinstance(element, str)) or (found_system or "") == system[0]:
            return True
    return False


def _codes_in(element: Any) -> Iterator[tuple[str | None, str | None]]:
    if isinstance(element, str):
        yield None, element
    elif isinstance(element, bool):
        yield None, str(element).lower()
    elif isinstance(element, dict):
        for coding in element["coding"] if isinstance(element.get("coding"), list) else [element]:
            if isinstance(coding, dict):
                yield coding.get("system"), coding.get("code") or coding.get("value")


def _reference_matches(choice: str, element: Any) -> bool:
    reference = element.get("reference") if isinstance(element, dict) else None
    if not isinstance(reference, str):
        return False
    wanted = "/".join(_unescape(choice).split("/")[-2:])
    here = "/".join(reference.split("/")[-2:])
    return here == wanted if "/" in wanted else here.split("/")[-1] == wanted


def _wanted(choice: str) -> Interval | None:
    return parse_interval(choice.lstrip("eqglt"))


def _date_matches(choice: str, element: Any) -> bool:
    wanted, found = _wanted(choice), _interval_of(element)
    if wanted is None or found is None:
        return False
    return {
        "ge": found[1] > wanted[0],
        "le": found[0] < wanted[1],
        "gt": found[1] > wanted[1],
        "lt": found[0] < wanted[0],
    }.get(choice[:2], wanted[0] <= found[0] and found[1] <= wanted[1])


def _interval_of(element: Any) -> Interval | None:
    if isinstance(element, str):
        return parse_interval(element)
    if not isinstance(element, dict):
        return None
    start, end = (
        parse_interval(str(element[side])) if side in element else None for side in ("start", "end")
    )
    if start is None and end is None:
        return None
    return (start[0] if start else _EARLIEST), (end[1] if end else _LATEST)


def _string_matches(choice: str, element: Any) -> bool:
    wanted = _unescape(choice).casefold()
    return any(text.casefold().startswith(wanted) for text in _texts_in(element))


def _texts_in(element: Any) -> Iterator[str]:
    if isinstance(element, str):
        yield element
    elif isinstance(element, dict):
        for part in ("text", "family", "given", "prefix"):
            yield from (text for text in elements_at(element, part) if isinstance(text, str))


_TESTS: Mapping[Kind, Callable[[str, Any], bool]] = {
    "token": _token_matches,
    "reference": _reference_matches,
    "date": _date_matches,
    "string": _string_matches,
}


def _sort_by(kind: str, key: str, resources: list[Resource]) -> list[Resource]:
    descending, name = key.startswith("-"), key.lstrip("-")
    param = param_of(kind, name)
    values = [(_sort_value(param, resource), resource) for resource in resources]
    known = [pair for pair in values if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [resource for _, resource in known] + [
        resource for value, resource in values if value is None
    ]


def _sort_value(param: Param, resource: Resource) -> Any:
    for path in param.paths:
        for element in elements_at(resource, path):
            if param.kind == "date":
                interval = _interval_of(element)
                return interval[0] if interval else None
            text = next(_texts_in(element), None) or next(
                (code for _, code in _codes_in(element) if code), None
            )
            return text if isinstance(text, str) else None
    return None
