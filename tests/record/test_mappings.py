"""The mapping tables: what the reader refuses, and what the shipped ones must hold."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cds_service.errors import MappingError
from cds_service.record.codes import CodeBook
from cds_service.record.tables import Tables, default_root, load_tables

HEADER = "concept,system,code,match,use,property,display,source,verified,note"
GOOD = "hemoglobin,https://site.example/lab,HB,exact,fact,mass,Hb,catalogue,yes,"


@pytest.fixture(scope="module")
def tables() -> Tables:
    """The shipped tables."""
    return load_tables()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the shipped tables to break."""
    copy = tmp_path / "mappings"
    shutil.copytree(default_root(), copy)
    return copy


def append(root: Path, name: str, row: str) -> int:
    """Add a row to a table and return its line."""
    path = root / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text + row + "\n", encoding="utf-8")
    return text.count("\n") + 1


def site_file(directory: Path, *rows: str, header: str = HEADER) -> Path:
    """Write a site's own table."""
    path = directory / "local.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


class TestRefusedRows:
    """A wrong row is refused with its file and line."""

    @pytest.mark.parametrize(
        ("name", "row", "message"),
        [
            ("codes/labs.csv", "hemoglobin,http://loinc.org,718-7,exact,fact,,,,yes,", "already"),
            (
                "codes/labs.csv",
                "hemoglobin,http://loinc.org,718-8,exact,fact,,,,yes,",
                "check digit",
            ),
            ("codes/labs.csv", "hemoglobin,http://loinc.org,HGB,exact,fact,,,,yes,", "check digit"),
            ("codes/labs.csv", "hemoglobin,http://x.org,1,exact,fact,,,,yes,", "unknown system"),
            ("codes/labs.csv", "hb,http://loinc.org,4544-3,exact,fact,,,,yes,", "unknown concept"),
            ("codes/labs.csv", "alt,http://loinc.org,4544-3,fuzzy,fact,,,,yes,", "unknown match"),
            ("codes/labs.csv", "alt,http://loinc.org,4544-3,exact,true,,,,yes,", "unknown use"),
            ("codes/labs.csv", "alt,http://loinc.org,4544-3,exact,fact,heat,,,yes,", "property"),
            ("codes/labs.csv", "alt,http://loinc.org,4544-3,exact,fact,,,,maybe,", "verified"),
            ("codes/labs.csv", "alt,http://loinc.org,,exact,fact,,,,yes,", "code is empty"),
            ("codes/labs.csv", "alt,http://loinc.org,4544-3,exact,fact", "5 cells instead of 10"),
            ("concepts.csv", "hemoglobin,Again,,", "already"),
            ("concepts.csv", "novel,Novel,unheard,", "as parent"),
            ("concepts.csv", "novel,,,", "label is empty"),
            ("concepts.csv", "novel,Novel,novel,", "own ancestor"),
            ("systems.csv", "http://loinc.org,Again,,,,,", "already listed"),
            ("systems.csv", "loinc,No URI,,,,,", "absolute URI"),
            ("systems.csv", "http://x.org,X,,,three,,", "not a number"),
            ("systems.csv", "http://x.org,X,,,,luhn,", "unknown check"),
            ("systems.csv", "http://x.org,X,,drugs,,,", "unknown kind"),
            ("properties.csv", "mass,mass,", "already"),
            ("words.csv", "drug,everolimus_oncology,Afinitor,word,possible,", "already"),
            ("words.csv", "drug,unheard,Foo,word,possible,", "unknown concept"),
            ("words.csv", "drug,,Foo,word,possible,", "unknown concept"),
            ("words.csv", "drug,*,Foo,word,possible,", "unknown concept"),
            ("words.csv", "drug,prrt,Foo,part,possible,", "unknown match"),
            ("words.csv", "drug,prrt,Foo,word,trap,", "unknown use"),
            ("words.csv", "drug,prrt,,word,possible,", "words is empty"),
            ("quantities.csv", "hemoglobin,Again,g/L,g/L,,,,,", "already"),
            ("quantities.csv", "heat,heat,K,K,,,,,", "unknown unit"),
            ("quantities.csv", "heat,heat,g/L,K,low,,,,", "not a number"),
            ("quantities.csv", "heat,heat,g/L,K,,,mmol/L,,", "stand together"),
            ("measures.csv", "hemoglobin,hemoglobin,", "already"),
            ("measures.csv", "gilbert,heat,", "unknown quantity"),
            ("ucum.csv", "g/L,gram/liter,mass_concentration,", "already"),
            ("spellings.csv", "hemoglobin,gm/dL,g/dL,", "already"),
            ("spellings.csv", "hemoglobin,foo,bar,", "unknown ucum"),
            ("spellings.csv", "heat,foo,g/L,", "unknown quantity"),
        ],
    )
    def test_row(self, root: Path, name: str, row: str, message: str) -> None:
        """Each kind of mistake, at the end of the table it is made in."""
        line = append(root, name, row)

        with pytest.raises(MappingError, match=message) as caught:
            load_tables(root)

        assert (name, line) == (caught.value.file, caught.value.line)

    def test_words_without_a_word(self, root: Path) -> None:
        """A phrase of punctuation could never be found."""
        line = append(root, "words.csv", "drug,prrt,Lu + --,word,possible,")

        with pytest.raises(MappingError, match="holds no word") as caught:
            CodeBook(load_tables(root))

        assert line == caught.value.line

    def test_longer_cycle_of_concepts(self, root: Path) -> None:
        """A concept that is its own grandparent."""
        append(root, "concepts.csv", "one,One,two,\ntwo,Two,one,")

        with pytest.raises(MappingError, match="own ancestor"):
            load_tables(root)


class TestRefusedFiles:
    """A table that is not what it should be as a whole."""

    @pytest.mark.parametrize(
        ("content", "message", "line"),
        [
            (b"concept,label,parents,colour\n", "unknown column 'colour'", 1),
            (b"concept,label,parents\n", "the columns must be", 1),
            (b"label,concept,parents,note\n", "the columns must be", 1),
            (b"", "the columns must be", 1),
            (b"concept,label,parents,note\na,b,,\n\xff,b,,\n", "not UTF-8", 3),
            (b'concept,label,parents,note\na,"b"x,,\n', "not CSV", 2),
        ],
    )
    def test_content(self, root: Path, content: bytes, message: str, line: int) -> None:
        """Columns, encoding and quoting."""
        (root / "concepts.csv").write_bytes(content)

        with pytest.raises(MappingError, match=message) as caught:
            load_tables(root)

        assert ("concepts.csv", line) == (caught.value.file, caught.value.line)

    def test_missing_table(self, root: Path) -> None:
        """A table that is not there is named."""
        (root / "words.csv").unlink()

        with pytest.raises(MappingError, match=r"words\.csv: cannot be read"):
            load_tables(root)

    def test_empty_version(self, root: Path) -> None:
        """A version is part of every report."""
        (root / "VERSION").write_text("\n", encoding="utf-8")

        with pytest.raises(MappingError, match="VERSION: is empty"):
            load_tables(root)

    def test_line_is_right_after_a_cell_of_two_lines(self, root: Path) -> None:
        """A quoted line break does not shift the place of what follows."""
        append(root, "concepts.csv", 'two_lines,Two,,"a\nb"')
        line = append(root, "concepts.csv", "\nhemoglobin,Again,,") + 1

        with pytest.raises(MappingError, match="already") as caught:
            load_tables(root)

        assert line == caught.value.line


class TestSiteTable:
    """A site's own codes."""

    def test_own_system_is_welcome(self, tmp_path: Path) -> None:
        """Any absolute URI is a system there."""
        extra = load_tables(extra=[site_file(tmp_path, GOOD)])

        assert ("https://site.example/lab", "HB") in {(c.system, c.code) for c in extra.codes}

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (GOOD.replace("https://site.example/lab", "lab"), "absolute URI"),
            (GOOD.replace("hemoglobin", "haemoglobin"), "unknown concept"),
            ("hemoglobin,http://loinc.org,718-7,exact,fact,,,,yes,", r"codes/labs\.csv:"),
            ("hemoglobin,http://loinc.org,718-8,exact,fact,,,,yes,", "check digit"),
        ],
    )
    def test_mistake_names_the_site_file(self, tmp_path: Path, row: str, message: str) -> None:
        """The same checks, and the site's own file and line."""
        with pytest.raises(MappingError, match=message) as caught:
            load_tables(extra=[site_file(tmp_path, GOOD, row)])

        assert ("local.csv", 3) == (caught.value.file, caught.value.line)

    def test_mistaken_column(self, tmp_path: Path) -> None:
        """The columns are those of the code tables."""
        with pytest.raises(MappingError, match="unknown column 'kode'"):
            load_tables(extra=[site_file(tmp_path, header=HEADER.replace("code", "kode"))])

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is an error, not an empty table."""
        with pytest.raises(MappingError, match="cannot be read"):
            load_tables(extra=[tmp_path / "absent.csv"])


class TestDigest:
    """What a report says of the tables it was made with."""

    def test_same_tables_same_digest(self, tables: Tables, root: Path) -> None:
        """A copy elsewhere is the same tables."""
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", tables.digest)
        assert tables.digest == load_tables(root).digest
        assert tables.version == load_tables(root).version

    def test_any_change_changes_it(self, tables: Tables, root: Path, tmp_path: Path) -> None:
        """A note, a version or a site's table."""
        assert tables.digest != load_tables(extra=[site_file(tmp_path, GOOD)]).digest
        (root / "VERSION").write_text("next\n", encoding="utf-8")
        assert tables.digest != load_tables(root).digest


class TestShippedTables:
    """Properties of the tables as a whole."""

    def test_line_ends_are_lf(self) -> None:
        """One form, so that digests agree everywhere."""
        files = [*default_root().rglob("*.csv"), default_root() / "VERSION"]

        assert [] == [file.name for file in files if b"\r" in file.read_bytes()]

    def test_every_concept_is_used(self, tables: Tables) -> None:
        """A concept without code, words or narrower concept could never be found."""
        used = {code.concept for code in tables.codes} | {row.concept for row in tables.words}
        used |= {parent for concept in tables.concepts for parent in concept.parents}

        assert set() == {concept.concept for concept in tables.concepts} - used

    def test_every_quantity_is_used(self, tables: Tables) -> None:
        """A kind of measurement that no concept measures would be dead."""
        names = {quantity.quantity for quantity in tables.quantities}

        assert set() == names - set(tables.measures.values())

    def test_no_code_mixes_fact_and_possible(self, tables: Tables) -> None:
        """A fact would lend its strength to what is only possible."""
        uses: dict[tuple[str, str, str], set[str]] = {}
        for row in tables.codes:
            uses.setdefault((row.system, row.code, row.match), set()).add(row.use)

        assert [] == [key for key, found in uses.items() if {"fact", "possible"} <= found]

    def test_no_net_is_another_malignancy(self, tables: Tables) -> None:
        """The tumour under treatment must not count as another cancer."""
        book = CodeBook(tables)
        nets = book.codes_of(["net"]) + book.prefixes_of(["net"])

        assert [] == [key for key in nets if "malignancy" in book.match(*key).concepts]

    def test_no_metastasis_is_another_malignancy(self, tables: Tables) -> None:
        """Secondary neoplasms are no primary."""
        book = CodeBook(tables)
        found = book.codes_of(["metastasis"]) + book.prefixes_of(["metastasis"])

        assert [] == [key for key in found if "malignancy" in book.match(*key).concepts]
