"""What a lent token may read, by the scopes that came with it.

A token whose scopes are listed by resource type and lack one need not be tried on it. What is not
understood is tried: the server decides. Sources: SMART App Launch 1.0 ("clinical scopes":
``patient/Observation.read``) and 2.0 ("scopes for requesting FHIR resources":
``patient/Observation.rs?category=…``).
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import msgspec

_CONTEXTS: Final = ("patient/", "user/", "system/")
_SCOPE: Final = re.compile(
    r"(?:patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]{1,63})\."
    r"(?:(?P<v1>read|write|\*)|(?P<v2>(?=[cruds])c?r?u?d?s?))(?P<filter>\?.+)?",
    re.ASCII,
)


class Permission(Enum):
    """Whether a token covers an interaction with a type."""

    WHOLE = "whole"
    PART = "part"
    NONE = "none"
    UNKNOWN = "unknown"


class _Grant(msgspec.Struct, frozen=True):
    type: str
    read: bool
    search: bool
    whole: bool


class Scopes(msgspec.Struct, frozen=True):
    """The scopes of a token.

    Args:
        grants: those that name resource types.
        understood: whether every scope that seems to name one could be read.
    """

    grants: tuple[_Grant, ...] = ()
    understood: bool = False

    def search(self, resource_type: str) -> Permission:
        """Whether all resources of a type may be searched for."""
        return self._best([grant for grant in self._of(resource_type) if grant.search])

    def read(self, resource_type: str) -> Permission:
        """Whether a resource of a type may be read by its id."""
        return self._best([grant for grant in self._of(resource_type) if grant.read])

    def _of(self, resource_type: str) -> list[_Grant]:
        return [grant for grant in self.grants if grant.type in {"*", resource_type}]

    def _best(self, grants: list[_Grant]) -> Permission:
        if any(grant.whole for grant in grants):
            return Permission.WHOLE
        if not self.understood:
            return Permission.UNKNOWN
        return Permission.PART if grants else Permission.NONE


NOTHING_KNOWN: Final = Scopes()


def read_scopes(text: str | None) -> Scopes:
    """The scopes in ``fhirAuthorization.scope``; without any that names a type, nothing is known.

    Args:
        text: scopes with spaces between.
    """
    named = [word for word in (text or "").split() if word.startswith(_CONTEXTS)]
    found = [_SCOPE.fullmatch(word) for word in named]
    grants = tuple(_grant(match) for match in found if match is not None)
    return Scopes(grants, understood=bool(named) and len(grants) == len(named))


def _grant(match: re.Match[str]) -> _Grant:
    letters = match["v2"] or ""
    reads = match["v1"] in {"read", "*"}
    return _Grant(
        type=match["type"],
        read=reads or "r" in letters,
        search=reads or "s" in letters,
        # Such a token finds a part of the type only, and the server says nothing of the rest.
        whole=match["filter"] is None,
    )
