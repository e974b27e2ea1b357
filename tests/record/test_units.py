"""Units: every spelling to one value, exact at the limits, and no guess."""

from __future__ import annotations

import csv
import shutil
from decimal import Decimal
from pathlib import Path

import pint
import pytest
from ucumvert import PintUcumRegistry

from cds_service.errors import MappingError
from cds_service.record.tables import default_root, load_tables
from cds_service.record.units import Converted, UnitBook, UnitProblem

UCUM = "http://unitsofmeasure.org"
BILLIONS = "\N{MULTIPLICATION SIGN}10⁹/L"
MICRO = ("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}")


@pytest.fixture(scope="module")
def book() -> UnitBook:
    """The shipped tables."""
    return UnitBook(load_tables())


def as_unit(book: UnitBook, quantity: str, value: str, unit: str) -> Converted | UnitProblem:
    """Read a value with a unit text only."""
    return book.read(quantity, "", Decimal(value), unit, None, None)


def as_code(book: UnitBook, quantity: str, value: str, code: str) -> Converted | UnitProblem:
    """Read a value with a UCUM code, unit text the same."""
    return book.read(quantity, "", Decimal(value), code, code, UCUM)


class TestSpellings:
    """One family of spellings, one normalised value."""

    @pytest.mark.parametrize("quantity", ["cell_count", "platelet_count"])
    @pytest.mark.parametrize(
        ("value", "unit"),
        [
            *(
                ("1.6", unit)
                for unit in (
                    *("K/uL", "k/ul", "K/mm3", "K/cumm", "K/mcL", "10*3/uL", "10^3/uL", "10*3/mm3"),
                    *("x10E3/uL", "10e3/uL", "10E3/uL", "X10(3)/MCL", "10*3/cmm", "thou/uL"),
                    *("Thousand/uL", "THOU/MM3", "x10E9/L", "x10^9/L", "10*9/L", "10^9/L"),
                    *("10e9/L", "10E9/L", "G/L", "GIGA/L", "bil/L", "/nL", "10³/mm³", BILLIONS),
                    *(f"K/{micro}L" for micro in MICRO),
                    *(f"10*3/{micro}L" for micro in MICRO),
                )
            ),
            *(
                ("1600", unit)
                for unit in (
                    *("/uL", "/mm3", "/cmm", "/cu mm", "cells/uL", "cells/mm3", "cells/cumm"),
                    *("CELLS/UL", "10*6/L", *(f"cells/{micro}L" for micro in MICRO)),
                )
            ),
        ],
    )
    def test_cells(self, book: UnitBook, quantity: str, value: str, unit: str) -> None:
        """Thousands, billions and single cells are the same count."""
        expected = Converted(Decimal("1.6"), BILLIONS)

        assert expected == as_unit(book, quantity, value, unit)
        assert expected == as_code(book, quantity, value, unit)

    @pytest.mark.parametrize(
        ("quantity", "value", "unit", "expected"),
        [
            ("hemoglobin", "8.0", "g/dL", "80 g/L"),
            ("hemoglobin", "8.0", "g/dl", "80 g/L"),
            ("hemoglobin", "8.0", "G/DL", "80 g/L"),
            ("hemoglobin", "8.0", "gm/dL", "80 g/L"),
            ("hemoglobin", "8.0", "g%", "80 g/L"),
            ("hemoglobin", "80", "g/L", "80 g/L"),
            ("hemoglobin", "80", "G/L", "80 g/L"),
            ("hemoglobin", "5", "mmol/L", "80.57 g/L"),
            ("bilirubin", "1", "mg/dL", "17.1 µmol/L"),
            ("bilirubin", "1", "MG/DL", "17.1 µmol/L"),
            ("bilirubin", "1", "mg/100mL", "17.1 µmol/L"),
            ("bilirubin", "10", "mg/L", "17.1 µmol/L"),
            *(("bilirubin", "17.1", f"{micro}mol/L", "17.1 µmol/L") for micro in MICRO),
            ("bilirubin", "17.1", "mcmol/L", "17.1 µmol/L"),
            ("creatinine", "1", "mg/dL", "88.4 µmol/L"),
            ("creatinine", "88.4", "UMOL/L", "88.4 µmol/L"),
            ("creatinine", "0.0884", "mmol/L", "88.4 µmol/L"),
            ("clearance", "50", "ml/min", "50 mL/min"),
            ("clearance", "1", "mL/s", "60 mL/min"),
            ("weight", "100", "lb", "45.359237 kg"),
            ("weight", "100", "[lb_av]", "45.359237 kg"),
            ("weight", "70000", "g", "70 kg"),
            ("height", "1.7", "m", "170 cm"),
            ("height", "70", "inches", "177.8 cm"),
            ("activity", "200", "mCi", "7400 MBq"),
            ("activity", "200", "MCI", "7400 MBq"),
            ("activity", "7.4", "GBq", "7400 MBq"),
            ("percent", "62", "%", "62 %"),
            ("percent", "0.62", "1", "62 %"),
            ("enzyme", "40", "U/L", "40 U/L"),
            ("enzyme", "40", "IU/L", "40 U/L"),
            ("enzyme", "40", "[IU]/L", "40 U/L"),
            ("enzyme", "1", "ukat/L", "60 U/L"),
            ("viral_load", "20", "copies/mL", "20 copies/mL"),
            ("viral_load", "20", "{copies}/mL", "20 copies/mL"),
            ("viral_load", "20", "cp/mL", "20 copies/mL"),
            ("hcg_level", "5", "mIU/mL", "5 IU/L"),
            ("suv", "4.2", "{SUV}", "4.2 g/mL"),
            ("suv", "4.2", "g/ml{SUVbw}", "4.2 g/mL"),
            ("ecog_score", "2", "", "2"),
            ("ecog_score", "2", "1", "2"),
            ("ecog_score", "2", "{score}", "2"),
            ("karnofsky_score", "80", "%", "80"),
            ("karnofsky_score", "80", "", "80"),
        ],
    )
    def test_other_measurements(
        self, book: UnitBook, quantity: str, value: str, unit: str, expected: str
    ) -> None:
        """Each unit of each family is shown in the canonical unit."""
        found = as_unit(book, quantity, value, unit)

        assert isinstance(found, Converted)
        assert expected == book.shown(quantity, found.value)
        assert found == as_code(book, quantity, value, unit)

    def test_every_spelling_of_the_tables_can_be_read(self, book: UnitBook) -> None:
        """No spelling leads nowhere, but for the one that is there to be refused."""
        refused = {
            row.quantity
            for row in load_tables().spellings
            if isinstance(as_unit(book, row.quantity, "1", row.spelling), UnitProblem)
        }

        assert {"clearance"} == refused


class TestNoGuess:
    """What makes a value unusable."""

    @pytest.mark.parametrize(
        ("quantity", "prop", ("recorded"), "expected"),
        [
            ("cell_count", "number", (None, None, None), "no-unit"),
            ("cell_count", "number", (" ", "", UCUM), "no-unit"),
            ("suv", "", (None, None, None), "no-unit"),
            ("cell_count", "number", ("cells", None, None), "unknown-unit"),
            ("platelet_count", "number", ("M/uL", None, None), "unknown-unit"),
            ("cell_count", "number", ("10*3/uL\N{ZERO WIDTH SPACE}", None, None), "unknown-unit"),
            ("hemoglobin", "mass", ("g/dL", "nonsense", UCUM), "unknown-unit"),
            ("activity", "activity", ("mbq", None, None), "unknown-unit"),
            ("viral_load", "number", ("log copies/mL", None, None), "unknown-unit"),
            ("cell_count", "number", ("%", "%", UCUM), "wrong-dimension"),
            ("cell_count", "number", ("g/l", None, None), "wrong-dimension"),
            ("hemoglobin", "mass", ("mmol/L", "mmol/L", UCUM), "wrong-dimension"),
            ("hemoglobin", "moles", ("g/dL", "g/dL", UCUM), "wrong-dimension"),
            ("bilirubin", "mass", ("umol/L", "umol/L", UCUM), "wrong-dimension"),
            ("creatinine", "moles", ("mg/dL", None, None), "wrong-dimension"),
            ("clearance", "rate", ("mL/min/1.73m2", None, None), "wrong-dimension"),
            ("clearance", "rate", (None, "mL/min/{1.73_m2}", UCUM), "wrong-dimension"),
            ("viral_load", "", ("[IU]/mL", "[IU]/mL", UCUM), "wrong-dimension"),
            ("weight", "mass", ("cm", "cm", UCUM), "wrong-dimension"),
            ("creatinine", "", ("mg/dL", "umol/L", UCUM), "unit-disagreement"),
            ("hemoglobin", "mass", ("g/L", "g/dL", UCUM), "unit-disagreement"),
            ("clearance", "rate", ("mL/min/1.73m2", "mL/min", UCUM), "unit-disagreement"),
            ("cell_count", "number", ("/uL", "10*3/uL", UCUM), "unit-disagreement"),
            ("cell_count", "number", ("%", "10*3/uL", UCUM), "unit-disagreement"),
        ],
    )
    def test_unusable(
        self,
        book: UnitBook,
        quantity: str,
        prop: str,
        recorded: tuple[str | None, str | None, str | None],
        expected: str,
    ) -> None:
        """A missing, unknown, contradicting or impossible unit is a problem with a name."""
        found = book.read(quantity, prop, Decimal(1), *recorded)

        assert isinstance(found, UnitProblem)
        assert expected == found.code
        assert found.message

    @pytest.mark.parametrize(
        ("unit", "code", "system"),
        [
            ("g/dL", None, None),
            (None, "g/dL", UCUM),
            (None, "g/dL", "urn:oid:2.16.840.1.113883.6.8"),
            (None, "g/dL", None),
            ("grams per deciliter", "g/dL", UCUM),
            ("gm/dL", "g/dL", UCUM),
            ("g/dL", "258795003", "http://snomed.info/sct"),
            (" g/dL ", None, None),
        ],
    )
    def test_usable(
        self, book: UnitBook, unit: str | None, code: str | None, system: str | None
    ) -> None:
        """The code decides under UCUM, else the unit; unknown text beside a code is no matter."""
        found = book.read("hemoglobin", "mass", Decimal("9.1"), unit, code, system)

        assert Converted(Decimal(91), "g/L") == found

    @pytest.mark.parametrize("quantity", ["cell_count", "platelet_count"])
    def test_k_is_thousand_and_g_is_giga(self, book: UnitBook, quantity: str) -> None:
        """Even as a UCUM code, where they would be kelvin and gauss."""
        assert Converted(Decimal(90), BILLIONS) == as_code(book, quantity, "90", "K/uL")
        assert Converted(Decimal(90), BILLIONS) == as_code(book, quantity, "90", "G/L")

    def test_unknown_quantity_is_an_error(self, book: UnitBook) -> None:
        """A mistyped name is a mistake of ours."""
        with pytest.raises(KeyError):
            as_unit(book, "haemoglobin", "1", "g/L")


class TestExact:
    """Values on and beside a limit."""

    @pytest.mark.parametrize(
        ("quantity", "value", "unit", "limit"),
        [
            ("hemoglobin", "8.0", "g/dL", "80"),
            ("hemoglobin", "8", "gm/dL", "80"),
            ("platelet_count", "80000", "/uL", "80"),
            ("cell_count", "1000", "/mm3", "1.0"),
            ("cell_count", "1.0", "K/uL", "1"),
            ("creatinine", "1.00", "mg/dL", "88.40"),
            ("activity", "600", "mCi", "22200"),
            ("activity", "29.6", "GBq", "29600"),
            ("clearance", "0.05", "L/min", "50"),
        ],
    )
    def test_on_the_limit(
        self, book: UnitBook, quantity: str, value: str, unit: str, limit: str
    ) -> None:
        """A value on the limit is equal to it after conversion."""
        found = as_unit(book, quantity, value, unit)

        assert isinstance(found, Converted)
        assert Decimal(limit) == found.value

    @pytest.mark.parametrize(
        ("quantity", "value", "unit", "limit"),
        [
            ("hemoglobin", "7.9999999999999999", "g/dL", "80"),
            ("hemoglobin", "79.999999999999999", "g/L", "80"),
            ("platelet_count", "79999.9999999999999", "/uL", "80"),
        ],
    )
    def test_below_the_limit(
        self, book: UnitBook, quantity: str, value: str, unit: str, limit: str
    ) -> None:
        """A hair below stays below."""
        found = as_unit(book, quantity, value, unit)

        assert isinstance(found, Converted)
        assert found.value < Decimal(limit)

    @pytest.mark.parametrize("tenths", range(1, 2000))
    def test_tenths_of_grams_per_decilitre_are_grams_per_litre(
        self, book: UnitBook, tenths: int
    ) -> None:
        """Every value with one decimal converts without a rounding error."""
        found = book.read("hemoglobin", "mass", Decimal(tenths) / 10, "g/dL", None, None)

        assert Converted(Decimal(tenths), "g/L") == found


class TestPlausibleAndShown:
    """Ranges, ends included, and numbers for people."""

    @pytest.mark.parametrize(
        ("quantity", "low", "high"),
        [
            ("hemoglobin", "10", "300"),
            ("cell_count", "0", "500"),
            ("platelet_count", "0", "5000"),
            ("bilirubin", "0", "1000"),
            ("creatinine", "5", "3000"),
            ("clearance", "0", "400"),
            ("weight", "20", "400"),
            ("ecog_score", "0", "5"),
            ("karnofsky_score", "0", "100"),
            ("activity", "500", "15000"),
        ],
    )
    def test_ends_are_plausible(self, book: UnitBook, quantity: str, low: str, high: str) -> None:
        """The ends are within, a hair beyond is not."""
        hair = Decimal("0.000001")

        assert book.plausible(quantity, Decimal(low))
        assert book.plausible(quantity, Decimal(high))
        assert not book.plausible(quantity, Decimal(low) - hair)
        assert not book.plausible(quantity, Decimal(high) + hair)

    def test_no_range_is_no_limit(self, book: UnitBook) -> None:
        """A quantity without a range takes any value."""
        assert book.plausible("height", Decimal(10_000))

    @pytest.mark.parametrize(
        ("quantity", "value", "expected"),
        [
            ("hemoglobin", "91.0", "91 g/L"),
            ("hemoglobin", "9E+1", "90 g/L"),
            ("hemoglobin", "0.50", "0.5 g/L"),
            ("hemoglobin", "0", "0 g/L"),
            ("hemoglobin", "0.00", "0 g/L"),
            ("hemoglobin", "-1.0", "-1 g/L"),
            ("platelet_count", "100", f"100 {BILLIONS}"),
            ("ecog_score", "1.0", "1"),
            ("activity", "1E+999999", "1E+999999 MBq"),
        ],
    )
    def test_shown(self, book: UnitBook, quantity: str, value: str, expected: str) -> None:
        """No exponent and no trailing zeros, unless the number would fill pages."""
        assert expected == book.shown(quantity, Decimal(value))

    def test_unit_of(self, book: UnitBook) -> None:
        """The canonical unit as shown."""
        assert "g/L" == book.unit_of("hemoglobin")

    def test_absurd_exponent_is_implausible_not_an_error(self, book: UnitBook) -> None:
        """A number beyond the context's usual range is read, and refused by its range."""
        found = as_unit(book, "hemoglobin", "1E+999999999", "g/dL")

        assert isinstance(found, Converted)
        assert not book.plausible("hemoglobin", found.value)


class TestTable:
    """The unit table against UCUM, and broken tables."""

    def test_expressions_agree_with_ucum(self) -> None:
        """Each unit has the size that a UCUM parser gives it, relative to its neighbours."""
        pint_alone, ucum = pint.UnitRegistry[float](), PintUcumRegistry()
        with (default_root() / "ucum.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        first: dict[str, tuple[float, float]] = {}
        for row in rows:
            ours = pint_alone.Quantity(pint_alone.parse_expression(row["expression"]))
            read = ucum.from_ucum(row["ucum"])
            # A bare one, or an annotation alone, comes back as its text.
            theirs = ucum.Quantity(1) if isinstance(read, str) else 1 * read
            size = ours.to_base_units().magnitude, theirs.to_base_units().magnitude
            # Arbitrary units have no size of their own, so sizes are compared within a dimension.
            base = first.setdefault(row["dimension"], size)

            assert pytest.approx(size[1] / base[1]) == size[0] / base[0], row["ucum"]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("g/hL,gram/(liter,mass_concentration,", "pint cannot read"),
            ("g/hL,flurbs/liter,mass_concentration,", "pint cannot read"),
            ("[IU],meter,mass_concentration,", "has another dimension"),
        ],
    )
    def test_bad_unit_is_refused(self, tmp_path: Path, row: str, message: str) -> None:
        """An unreadable expression or a wrong dimension names its line."""
        root = tmp_path / "mappings"
        shutil.copytree(default_root(), root)
        table = root / "ucum.csv"
        text = table.read_text(encoding="utf-8")
        table.write_text(text + row + "\n", encoding="utf-8")

        with pytest.raises(MappingError, match=message) as caught:
            UnitBook(load_tables(root))

        assert ("ucum.csv", text.count("\n") + 1) == (caught.value.file, caught.value.line)
