"""The site file: what one hospital configures for a trial."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cds_service.errors import InputError
from cds_service.record.units import Converted, UnitBook
from cds_service.report import Overall

# What pydantic says in words of Python, for the writer of the file.
_SAID: Final = {"extra_forbidden": "is not known", "tuple_type": "must be a list"}
_EXAMPLE_TAG: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason|HTEST"


class Quantities(Protocol):
    """Which kind of measurement a test is, as the code tables say."""

    def quantity_of(self, concepts: frozenset[str]) -> str | None:
        """The kind of measurement; None where the tables have none."""
        ...


class Limit(BaseModel):
    """An upper limit of normal with its unit, as the site's laboratory states it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Decimal = Field(gt=0)
    unit: str


class Site(BaseModel):
    """One site's settings; every one is optional.

    Args:
        timezone: IANA name; None reads dates in UTC and says so on the report.
        everolimus_access: whether the site can provide everolimus; None for not configured.
        uln: upper limits of normal by test (``bilirubin``, ``creatinine``, ``alt``, ``ast``).
        gilbert_bilirubin_uln_multiple: the protocol's multiple for confirmed Gilbert's.
        prrt_activity_tolerance: fraction by which cumulative activity may differ.
        mappings: the site's own code tables, relative to the site file.
        cards: overall results that make a card.
        override_days: quiet period after an override.
        test_patients: tags and security labels, as ``system|code``, that the hospital gives to
            patients who are none; their hooks get no card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: str | None = None
    everolimus_access: bool | None = None
    uln: dict[str, Limit] = {}
    gilbert_bilirubin_uln_multiple: Decimal | None = Field(default=None, gt=0)
    prrt_activity_tolerance: Decimal | None = Field(default=None, ge=0, lt=1)
    mappings: tuple[Path, ...] = ()
    cards: tuple[Overall, ...] = ("all_met", "possible", "not_now")
    override_days: int = Field(default=90, ge=0)
    test_patients: tuple[str, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError("is no IANA time zone") from error
        return name

    @field_validator("test_patients")
    @classmethod
    def _system_and_code(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        for tag in tags:
            system, _, code = tag.partition("|")
            good = system and code and tag.isprintable()
            if not good or (system, code) != (system.strip(), code.strip()):
                raise ValueError(f"{tag!r} is no system|code, such as {_EXAMPLE_TAG}")
        return tags

    @property
    def zone(self) -> ZoneInfo:
        """The site's time zone; UTC where none is configured."""
        return ZoneInfo(self.timezone or "UTC")

    def normal_limits(self, units: UnitBook, quantities: Quantities) -> dict[str, Decimal]:
        """The upper limits of normal in each test's canonical unit.

        Raises:
            InputError: a limit is for no test of the tables, or has a unit that it cannot have.
        """
        found: dict[str, Decimal] = {}
        problems: list[str] = []
        for test, limit in self.uln.items():
            quantity = quantities.quantity_of(frozenset({test}))
            if quantity is None and test not in units.quantities:
                problems.append(f"uln.{test}: the tables have no such test")
                continue
            read = units.read(quantity or test, "", limit.value, limit.unit, None, None)
            if isinstance(read, Converted):
                found[test] = read.value
            else:
                problems.append(f"uln.{test}: {read.message}")
        if problems:
            raise InputError(f"site file: {'; '.join(problems)}")
        return found


def _decimals(loader: Any, node: Any) -> Decimal:
    text = str(loader.construct_scalar(node)).replace("_", "")
    if not any(char.isdigit() for char in text):
        raise ValueError(f"{text} is no number")
    return Decimal(text)


def load_yaml(text: str) -> Any:
    """Read YAML 1.2 with safe types; numbers with a point become Decimal, never float.

    Raises:
        InputError: it is not YAML.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor("tag:yaml.org,2002:float", _decimals)
    try:
        return yaml.load(text)
    except (YAMLError, ValueError, ArithmeticError, RecursionError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"is not YAML: {first}") from error


def _described(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in one["loc"]) or "file"
        message = _SAID.get(one["type"], one["msg"].removeprefix("Value error, "))
        yield f"{key}: {message}"


def load_site(path: Path | None) -> Site:
    """Read a site file; none gives the defaults.

    Raises:
        InputError: it cannot be read, or says something unknown; the text names file and key.
    """
    if path is None:
        return Site()
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"site file {path}: cannot be read") from error
    except InputError as error:
        raise InputError(f"site file {path}: {error}") from error
    try:
        site = Site.model_validate({} if content is None else content)
    except ValidationError as error:
        raise InputError(f"site file {path}: {'; '.join(_described(error))}") from error
    tables = tuple((path.parent / table).resolve() for table in site.mappings)
    return site.model_copy(update={"mappings": tables})
