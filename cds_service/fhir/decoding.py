"""Decodes resources, each by itself: what does not fit is salvaged element by element.

One broken element never hides the rest, and is never taken for an absent one.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar, cast

import msgspec

from cds_service.fhir import views
from cds_service.fhir.repair import repaired

# What decoding foreign JSON may raise; deep nesting ends in a RecursionError.
UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# A name of this form may be of any FHIR version; any other says no type at all.
_TYPE_NAME: Final = re.compile(r"[A-Z][A-Za-z]+", re.ASCII)
_NOTHING: Final = msgspec.Raw(b"")
_BROKEN: Final = object()
_Viewed = TypeVar("_Viewed", bound=msgspec.Struct)
_TYPES: dict[str, type[views.Resource]] = {
    view.__struct_config__.tag: view for view in views.View.__args__
}
_NAMES: dict[type[views.Resource], str] = {view: name for name, view in _TYPES.items()}
_DECODER: msgspec.json.Decoder[views.View] = msgspec.json.Decoder(views.View)


class _Head(msgspec.Struct, rename="camel"):
    resource_type: str | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


class Decoded(msgspec.Struct):
    """One entry, decoded.

    Args:
        view: the resource; None where it is of no type that is read, or not an object at all.
        resource_type: its type, where it says one.
        broken: names of elements (camelCase) that are there but cannot be read; those of a
            component by :func:`component_name`.
    """

    view: views.View | None
    resource_type: str | None
    broken: frozenset[str] = frozenset()


def decode(raw: msgspec.Raw | bytes) -> Decoded:
    """Decode one resource; never raises."""
    try:
        view = _DECODER.decode(raw)
    except UNDECODABLE:
        # Most of what does not fit is of a type that is not read, and nothing is wrong with it.
        unread = _unread_type(raw)
        return _salvage(bytes(raw)) if unread is None else Decoded(None, unread)
    return Decoded(view, _NAMES[type(view)])


def type_of(raw: msgspec.Raw | bytes) -> str | None:
    """The type that a resource says; None where it says none, or cannot be read at all."""
    try:
        return _HEAD.decode(raw).resource_type
    except UNDECODABLE:
        return None


def _unread_type(raw: msgspec.Raw | bytes) -> str | None:
    """The type of a resource of no type that is read; None where it may be any other case."""
    name = type_of(raw)
    return name if name and name not in _TYPES and _TYPE_NAME.fullmatch(name) else None


def _salvage(raw: bytes) -> Decoded:
    elements = _elements(raw) or _elements(repaired(raw)) or {}
    name = _decoded(elements.get("resourceType", _NOTHING), str | None)
    if not isinstance(name, str) or not _TYPE_NAME.fullmatch(name):
        return Decoded(None, None, frozenset({"resource"}))
    kind = _TYPES.get(name)
    if kind is None:
        return Decoded(None, name)
    view, broken = _by_element(elements, kind)
    return Decoded(cast("views.View", view), name, broken)


def _by_element(
    elements: dict[str, msgspec.Raw], kind: type[_Viewed]
) -> tuple[_Viewed, frozenset[str]]:
    """Decode each element by itself, and name those that cannot be."""
    values: dict[str, Any] = {}
    broken: set[str] = set()
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in elements:
            continue
        value = _decoded(elements[name], field.type)
        if value is _BROKEN and name == "component":
            value, names = _components(elements[name])
            broken |= names
        if value is _BROKEN:
            broken.add(name)
        else:
            values[field.name] = value
    return kind(**values), frozenset(broken)


def _components(raw: msgspec.Raw) -> tuple[Any, set[str]]:
    """Salvage the components of an Observation: one that is broken never hides another result."""
    parts = _decoded(raw, list[msgspec.Raw])
    if parts is _BROKEN:
        return _BROKEN, set()
    found: list[views.Valued] = []
    broken: set[str] = set()
    for position, part in enumerate(parts):
        place = component_name(position)
        elements = _elements(bytes(part)) or _elements(repaired(bytes(part)))
        if elements is None:
            broken.add(place)
        view, names = _by_element(elements or {}, views.Valued)
        found.append(view)
        broken |= {f"{place}.{name}" for name in names}
    return found, broken


def component_name(position: int) -> str:
    """The name of a component among broken elements; those of its own come after a dot."""
    return f"component[{position}]"


def _elements(raw: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except UNDECODABLE:
        return None


def _decoded(raw: msgspec.Raw, kind: Any) -> Any:
    """One element, repaired where it must be; ``_BROKEN`` where it is of another kind."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNDECODABLE:
        pass
    try:
        return msgspec.json.decode(repaired(bytes(raw)), type=kind)
    except UNDECODABLE:
        return _BROKEN
