"""The access token that an EHR lends for one hook."""

from __future__ import annotations

import re
from typing import Final, NoReturn

from cds_service.errors import HookError

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class SecretToken:
    """A bearer token that shows itself to the HTTP client only.

    Raises:
        HookError: it is not what RFC 6750 calls a bearer token (a line break could add a header).
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not _TOKEN.fullmatch(value):
            raise HookError("the access token is not a bearer token")
        self._value = value

    def __repr__(self) -> str:
        return "SecretToken(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is never stored")

    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"Bearer {self._value}"
