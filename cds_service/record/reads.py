"""How reading went: how each search ended, and what was found and cannot be read or relied on.

Each way in which a search may end is a type of its own: unread is not empty.
"""

from __future__ import annotations

import msgspec


class Complete(msgspec.Struct, frozen=True):
    """Everything asked for was read."""


class Partial(msgspec.Struct, frozen=True):
    """Some of it was read: a page, an entry or a referenced resource is missing."""

    reason: str


class Failed(msgspec.Struct, frozen=True):
    """Nothing usable was read: the server was off, slow or broken."""

    reason: str


class NotPermitted(msgspec.Struct, frozen=True):
    """The server refused: this service may not read it."""

    reason: str


Read = Complete | Partial | Failed | NotPermitted

COMPLETE = Complete()


def worsened(read: Read, by: Partial | Failed) -> Read:
    """How a read went that a further reason, too, kept from being whole; both are told.

    Args:
        read: how it went until then; where nothing was read, it stays as it is.
        by: how a complete one is to count now.
    """
    match read:
        case Complete():
            return by
        case Partial(reason):
            return type(by)(f"{reason}; {by.reason}")
        case _:
            return read


class DataIssue(msgspec.Struct, frozen=True):
    """Something in the data that a person should look at.

    Args:
        code: stable kebab-case code (``no-unit``, ``other-patient`` …).
        reference: the resource, ``Observation/7``, or the search it concerns.
        message: one sentence for the reader.
    """

    code: str
    reference: str
    message: str


class Unreadable(msgspec.Struct, frozen=True):
    """A resource whose subject matter cannot be read: it may be about anything of its type."""

    reference: str
    resource_type: str
    reason: str
