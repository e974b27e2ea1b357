"""The form of one record of the file of trusted EHRs, and what is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from cds_service.fhir.http import server_base
from cds_service.settings import is_loopback
from cds_service.trust.caller import OPEN
from cds_service.trust.keys import MAX_KEYS, Algorithm, key_problem

CONTEXT: Final = "allow_plain_http"
"""The key of the validation context that says whether http is allowed outside this machine."""

_PLAIN_HTTP: Final = "must be https; CDS_ALLOW_PLAIN_HTTP=true allows http outside this machine"
_NO_BASE: Final = "must be FHIR base URLs such as https://ehr.example.org/fhir"
# As the switch of the command line takes it, and as a label of metrics.
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
# They stand for something else in metrics and audit.
_TAKEN: Final = frozenset({OPEN, "other", "none"})
# Without underscores, hyphens and capitals.
_SPELLINGS: Final = {
    "iss": "iss",
    "issuer": "iss",
    "name": "name",
    "label": "name",
    "jwksurl": "jwks_url",
    "jwksuri": "jwks_url",
    "keys": "keys",
    "jwks": "keys",
    "jwk": "keys",
    "key": "keys",
    "jku": "jku",
    "jkus": "jku",
    "tenants": "tenants",
    "tenant": "tenants",
    "fhirservers": "fhir_servers",
    "fhirserver": "fhir_servers",
    "clientid": "client_id",
    "algorithms": "algorithms",
    "algorithm": "algorithms",
    "algs": "algorithms",
    "alg": "algorithms",
    "shadow": "shadow",
    "enabled": "enabled",
}

Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """A trusted EHR.

    Args:
        iss: as its tokens say it, to the letter.
        name: short, for log, metrics, audit and the switch.
        jwks_url: where its keys are; None where they are given.
        keys: its public keys as JWKs; empty where they are fetched.
        jku: what a token may say of where the keys are.
        tenants: the tenants that may call; None where that is not checked.
        fhir_servers: canonical base URLs that may be read for it.
        client_id: this service's id at the EHR; None where that is not checked.
        algorithms: that its tokens may be signed with.
        shadow: whether its hooks are evaluated and audited only.
        enabled: whether it may call now.
    """

    iss: str
    name: str
    jwks_url: str | None = None
    keys: tuple[Any, ...] = ()
    jku: tuple[str, ...] = ()
    tenants: tuple[str, ...] | None = None
    fhir_servers: tuple[str, ...] = ()
    client_id: str | None = None
    algorithms: tuple[Algorithm, ...] = ("ES384", "RS384")
    shadow: bool = False
    enabled: bool = True


class IssuerRecord(BaseModel):
    """A record as it is written; docs/trust.md describes it for its writer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iss: Text
    name: str = ""
    jwks_url: Text | None = None
    keys: tuple[Any, ...] = ()
    jku: tuple[Text, ...] | None = None
    tenants: tuple[Text, ...] | None = None
    fhir_servers: tuple[Text, ...] | None = None
    client_id: Text | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("ES384", "RS384")
    shadow: bool = False
    enabled: bool = True

    def issuer(self, fhir_servers: tuple[str, ...]) -> Issuer:
        """The issuer, with these FHIR servers where the record lists none."""
        known = {"name", "jku", "fhir_servers"}
        if self.jku is not None:
            jku = self.jku
        else:
            jku = () if self.jwks_url is None else (self.jwks_url,)
        return Issuer(
            name=self.name or _derived(self.iss),
            jku=jku,
            fhir_servers=fhir_servers if self.fhir_servers is None else self.fhir_servers,
            **{name: value for name, value in self if name not in known},
        )

    @field_validator("iss", "client_id")
    @classmethod
    def _to_the_letter(cls, value: str | None) -> str | None:
        """What a token must say: with a space that is not seen it never would."""
        if value is not None and (value != value.strip() or not value.isprintable()):
            raise ValueError("has spaces around it, or characters that cannot be seen")
        return value

    @field_validator("tenants", "jku")
    @classmethod
    def _each_to_the_letter(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for value in values or ():
            cls._to_the_letter(value)
        return values

    @field_validator("jku", "tenants", "fhir_servers", "algorithms", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("keys", mode="before")
    @classmethod
    def _of_set(cls, value: Any) -> Any:
        return _keys_of(value)

    @field_validator("keys")
    @classmethod
    def _usable(cls, keys: tuple[Any, ...]) -> tuple[Any, ...]:
        problems = [f"key {n} {p}" for n, key in enumerate(keys, 1) if (p := key_problem(key))]
        if len(keys) > MAX_KEYS:
            problems.append(f"more than {MAX_KEYS} keys")
        ids = [(key["kid"], key["kty"]) for key in keys if key_problem(key) is None]
        if len(set(ids)) < len(ids):
            problems.append("two keys have the same kid")
        if problems:
            raise ValueError(", ".join(problems))
        return keys

    @field_validator("name")
    @classmethod
    def _label(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("must be 1 to 100 letters, digits, dots, hyphens and underscores")
        if name in _TAKEN:
            raise ValueError("stands for something else in metrics; take another")
        return name

    @field_validator("jwks_url")
    @classmethod
    def _key_address(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None:
            address, _, query = url.partition("?")
            if server_base(address) is None or "#" in query or not query.isascii():
                raise ValueError("must be an https URL with no user and no fragment")
            if not _is_private(address, info):
                raise ValueError(_PLAIN_HTTP)
        return url

    @field_validator("fhir_servers")
    @classmethod
    def _bases(
        cls, servers: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        if servers is None:
            return None
        bases = [server_base(server) for server in servers]
        found = tuple(base for base in bases if base is not None)
        problems = [] if len(found) == len(bases) else [_NO_BASE]
        if not all(_is_private(base, info) for base in found):
            problems.append(_PLAIN_HTTP)
        if problems:
            raise ValueError(", and ".join(problems))
        return found


def plainly(record: Any) -> tuple[dict[str, Any], list[str]]:
    """A record with the names of :class:`IssuerRecord`, and what is wrong with it as a whole.

    Apart from the form of its members, so that all that is wrong can be said at once.
    """
    if not isinstance(record, Mapping):
        return {}, ["must be a mapping with iss and jwks_url or keys"]
    found: dict[str, Any] = {}
    problems: list[str] = []
    for given, value in record.items():
        plain = str(given).replace("_", "").replace("-", "").lower()
        name = _SPELLINGS.get(plain, str(given))
        if plain == "jwks" and isinstance(value, str):
            name = "jwks_url"
        if name in found:
            problems.append(f"says {name} twice")
        found[name] = value
    if (found.get("jwks_url") is None) == (not _keys_of(found.get("keys"))):
        problems.append("needs jwks_url or keys, and not both")
    return found, problems


def _keys_of(value: Any) -> Any:
    """The keys of a list, a key set, or a single key."""
    return value.get("keys", (value,)) if isinstance(value, Mapping) else value


def _is_private(url: str, info: ValidationInfo) -> bool:
    """Whether keys and charts could not travel to an address for anyone to read or change."""
    parts = urlsplit(url)
    allowed = bool((info.context or {}).get(CONTEXT, False))
    return parts.scheme == "https" or allowed or is_loopback(parts.hostname or "")


def _derived(iss: str) -> str:
    """A short name made of an ``iss``: its host and path."""
    without_scheme = iss.partition("://")[2] or iss
    name = _NO_NAME.sub("-", without_scheme).strip("-")[:90] or "issuer"
    return f"issuer-{name}" if name in _TAKEN else name
