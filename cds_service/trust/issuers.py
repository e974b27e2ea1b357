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
from cds_service.trust.records import CONTEXT, Issuer, IssuerRecord

_LIST: Final = "issuers"
_ISS: Final = frozenset({"iss", "issuer"})
_SHOWN: Final = 100
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
    issuers: list[Issuer] = []
    errors: list[str] = []
    without_servers: list[str] = []
    for number, record in enumerate(records, start=1):
        try:
            found = IssuerRecord.model_validate(record, context={CONTEXT: allow_plain_http})
        except ValidationError as error:
            errors += _described(_title(number, record), error)
        else:
            issuers.append(found.issuer(tuple(fhir_servers)))
            if found.fhir_servers is None:
                without_servers.append(issuers[-1].name)
    errors += _repeated("iss", [issuer.iss for issuer in issuers])
    errors += _repeated("name", [issuer.name for issuer in issuers])
    if len(records) > 1 and fhir_servers:
        errors += [f"{_SHARED}: {name} lists none" for name in without_servers]
    if errors:
        raise ConfigError(one_line(f"{path}: {'; '.join(errors)}"))
    return tuple(issuers)


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
        if one["type"] == "extra_forbidden":
            message = "is not known"
        yield f"{title}: {place}: {message}" if place else f"{title}: {message}"


def _repeated(what: str, values: Sequence[str]) -> Iterator[str]:
    for value, times in Counter(values).items():
        if times > 1:
            yield f"{what} {value} stands {times} times" + (
                "; give each record a name of its own" if what == "name" else ""
            )
