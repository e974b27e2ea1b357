"""The file of trusted EHRs: whose tokens are taken, their keys, and what may be read for them.

It is written by hand at each site, so that names are taken in the spellings that the documents of
EHRs use; a name that is not known is an error, since it may be a restriction with a slip in it.
:mod:`~cds_service.trust.records` has the form of one record.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cds_service.errors import ConfigError, InputError, one_line
from cds_service.trial.site import load_yaml
from cds_service.trust.bearer import unique_members
from cds_service.trust.records import CONTEXT, Issuer, IssuerRecord, plainly

_LIST: Final = "issuers"
_ISS: Final = frozenset({"iss", "issuer"})
_SHOWN: Final = 100
# What pydantic says in words of Python, for the writer of the file.
_SAID: Final = {"extra_forbidden": "is not known", "tuple_type": "must be a list"}
# One hospital's hooks could name another's server.
_SHARED: Final = (
    "CDS_FHIR_SERVERS would count for several EHRs at once; each needs fhir_servers of its own"
)


def load_issuers(
    path: Path, fhir_servers: Sequence[str] = (), *, allow_plain_http: bool = False
) -> tuple[Issuer, ...]:
    """Read the file of trusted EHRs.

    Args:
        path: the file, YAML or JSON.
        fhir_servers: base URLs for the one EHR whose record lists none; of several, each must.
        allow_plain_http: whether names outside this machine may be used without TLS.

    Raises:
        ConfigError: it cannot be read, or a record is wrong; the text names file, record and key,
            and holds nothing of a key.
    """
    records = tuple(_records(_content(path), path))
    if not records:
        raise ConfigError(f"{path}: names no issuer")
    read = [
        _Record(_title(number, record), record, fhir_servers, allow_plain_http=allow_plain_http)
        for number, record in enumerate(records, start=1)
    ]
    errors = [error for one in read for error in one.errors]
    errors += _repeated("iss", [one.iss for one in read])
    errors += _repeated("name", [one.name for one in read])
    if len(records) > 1 and fhir_servers:
        errors += [f"{_SHARED}: {one.name} lists none" for one in read if one.lists_no_servers]
    if errors:
        raise ConfigError(one_line(f"{path}: {'; '.join(errors)}"))
    return tuple(one.issuer for one in read if one.issuer is not None)


class _Record:
    """One record: the issuer that it makes, if it makes one, and all that is wrong with it.

    Args:
        title: how its writer finds it.
        record: as it stands in the file.
        fhir_servers: base URLs, where it lists none.
        allow_plain_http: whether names outside this machine may be used without TLS.
    """

    def __init__(
        self, title: str, record: Any, fhir_servers: Sequence[str], *, allow_plain_http: bool
    ) -> None:
        plain, problems = plainly(record)
        self.issuer: Issuer | None = None
        self.lists_no_servers = False
        # As they stand there, so that two that are the same show beside other errors.
        self.iss, self.name = plain.get("iss"), plain.get("name")
        self.errors: list[str] = []
        if isinstance(record, Mapping):
            try:
                found = IssuerRecord.model_validate(plain, context={CONTEXT: allow_plain_http})
            except ValidationError as error:
                self.errors += _described(title, error)
            else:
                self.lists_no_servers = found.fhir_servers is None
                self.issuer = found.issuer(tuple(fhir_servers))
                self.name = self.issuer.name
        self.errors += (f"{title}: {problem}" for problem in problems)


def _content(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8") from None
    try:
        # JSON is nearly YAML: tabs, for one, are not.
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=unique_members)
        return load_yaml(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, "JSON", getattr(error, "lineno", None)) from None
    except InputError as error:
        mark = getattr(error.__cause__, "problem_mark", None)
        raise _unreadable(path, "YAML", None if mark is None else mark.line + 1) from None


def _unreadable(path: Path, form: str, line: int | None) -> ConfigError:
    """That a file cannot be parsed, and where; not the parser's words, which may quote a key."""
    place = "" if line is None else f" (line {line})"
    return ConfigError(f"{path}: is not {form}, or says something twice{place}")


def _records(content: Any, path: Path) -> Iterator[Any]:
    """The records of a list, of a mapping by ``iss``, or of either under ``issuers``."""
    if isinstance(content, dict) and _LIST in content:
        if len(content) > 1:
            raise ConfigError(f"{path}: has something beside {_LIST}")
        content = content[_LIST]
    if isinstance(content, dict) and not _ISS.isdisjoint(content):
        yield content
    elif isinstance(content, dict):
        yield from (_named(iss, record) for iss, record in content.items())
    elif isinstance(content, list):
        yield from content
    elif content is not None:
        raise ConfigError(f"{path}: must be a list of issuers")


def _named(iss: Any, record: Any) -> Any:
    """A record of a mapping by ``iss``, with that in it; an address alone is that of its keys."""
    if isinstance(record, str):
        record = {"jwks_url": record}
    return {**record, "iss": iss} if isinstance(record, Mapping) else record


def _title(number: int, record: Any) -> str:
    """A record as its writer finds it: by number and ``iss``."""
    iss = record.get("iss", record.get("issuer")) if isinstance(record, Mapping) else None
    return f"issuer {number}" + (f" ({iss[:_SHOWN]})" if isinstance(iss, str) else "")


def _described(title: str, error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in one["loc"])[:_SHOWN]
        message = one["msg"].removeprefix("Value error, ")
        message = _SAID.get(one["type"], message)
        yield f"{title}: {place}: {message}" if place else f"{title}: {message}"


def _repeated(what: str, values: Sequence[Any]) -> Iterator[str]:
    for value, times in Counter(value for value in values if isinstance(value, str)).items():
        if times > 1:
            yield f"{what} {value} stands {times} times" + (
                "; give each record a name of its own" if what == "name" else ""
            )
