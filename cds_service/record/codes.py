"""What a code or a word of a chart stands for, by the mapping tables.

Answers in concepts of ``mappings/concepts.csv``; knows no code and no clinical word itself, and
decides nothing about a patient.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeVar

import msgspec

from cds_service.record import table_rows, tables

Use = Literal["fact", "possible"]

_NONE: Final[frozenset[str]] = frozenset()
# A hospital holds more distinct codes than a cache should; a cleared cache only costs time.
_CACHE_LIMIT: Final = 50_000
_LONGEST_KEY: Final = 2_000
# A dot stays inside a word only before a digit, so that "NE.1" is one word and "end.Next" is two.
_WORD: Final = re.compile(r"[^\W_]+(?:\.\d[^\W_]*)*")


class Match(msgspec.Struct, frozen=True):
    """What codes or words stand for.

    Args:
        concepts: with all their ancestors.
        use: ``possible`` where nothing in it may decide by itself.
        trap: a table says that a code must not be taken for something it resembles.
        property: the kind of property measured, where the tables say so.
        possible: those of ``concepts`` that no ``fact`` row supports.
    """

    concepts: frozenset[str]
    use: Use = "fact"
    trap: bool = False
    property: str = ""
    possible: frozenset[str] = _NONE


NO_MATCH: Final = Match(_NONE)


class _Entry(msgspec.Struct, frozen=True):
    """The rows that one code meets, before ancestors are added.

    Args:
        traps: concepts this code is a trap for.
    """

    facts: frozenset[str] = _NONE
    possibles: frozenset[str] = _NONE
    traps: frozenset[str] = _NONE
    property: str = ""


_NO_ENTRY: Final = _Entry()
_Key = tuple[str | None, str | None]
_K = TypeVar("_K")
_T = TypeVar("_T")


class CodeBook:
    """The code and word tables, ready for look-ups.

    Args:
        book: the tables, as :func:`cds_service.record.tables.load_tables` gives them.
    """

    def __init__(self, book: tables.Tables) -> None:
        self.version = book.version
        self.digest = book.digest
        self._measures = book.measures
        self._vocabulary = _Vocabulary(book.concepts)
        self._systems = _Systems(book.systems)
        self._rows = book.codes
        self._exact: dict[tuple[str, str], _Entry] = {}
        self._prefix: dict[tuple[str, str], _Entry] = {}
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._index(book.codes)
        self._words = _word_lists(book.words)
        self._entries: dict[_Key, _Entry] = {}
        self._matches: dict[_Key, Match] = {}
        self._merged: dict[tuple[_Key, ...], Match] = {}

    def match(self, system: str | None, code: str | None) -> Match:
        """Look up one code, as given: no blanks are stripped and case counts.

        The longest row that fits decides (an exact row before a prefix); a trap row of any length
        takes its own concept away.
        """
        found = self._matches.get((system, code))
        if found is None:
            found = self._merge((self._entry((system, code)),))
            _keep(self._matches, (system, code), found)
        return found

    def match_all(self, codings: Iterable[_Key]) -> Match:
        """Look up the codings of one CodeableConcept together.

        A trap among them takes its concept away whatever the others say.
        """
        keys = tuple(codings)
        if not keys:
            return NO_MATCH
        if len(keys) == 1:
            return self.match(*keys[0])
        found = self._merged.get(keys)
        if found is None:
            found = self._merge(tuple(self._entry(key) for key in keys))
            _keep(self._merged, keys, found)
        return found

    def words(self, domain: str, text: str) -> frozenset[str]:
        """Return the concepts (with ancestors) that the words of a text name, in one domain.

        Case, hyphens and other punctuation between words do not count; whole words do.

        Raises:
            KeyError: there is no such domain in the tables.
        """
        return self.match_words(domain, text).concepts

    def match_words(self, domain: str, text: str) -> Match:
        """Do the same as :meth:`words`, with the use that the tables allow."""
        found = self._words[domain].find(text)
        entry = _Entry(found.facts, found.possibles, found.excluded)
        return self._merge((entry,), trap=False)

    def label(self, concept: str) -> str:
        """Return the concept's name for people.

        Raises:
            KeyError: no such concept.
        """
        return self._vocabulary.labels[concept]

    def descendants(self, concept: str) -> frozenset[str]:
        """Return the concepts below this one, itself included.

        Raises:
            KeyError: no such concept.
        """
        return self._vocabulary.below[concept]

    def codes_of(self, concepts: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return (system, code) of the codes that stand for these concepts or for narrower ones.

        Whole codes only, for building searches; traps and context are left out.
        """
        return self._listed(concepts, "exact")

    def prefixes_of(self, concepts: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return (system, prefix) of the code families, as :meth:`codes_of` does for codes."""
        return self._listed(concepts, "prefix")

    def quantity_of(self, concepts: frozenset[str]) -> str | None:
        """Return the kind of measurement, None where there is none or more than one."""
        found = {self._measures[name] for name in concepts if name in self._measures}
        return found.pop() if len(found) == 1 else None

    def _listed(self, concepts: Iterable[str], match: str) -> tuple[tuple[str, str], ...]:
        wanted = _NONE.union(*(self._vocabulary.below[concept] for concept in concepts))
        found = {
            (row.system, row.code)
            for row in self._rows
            if row.concept in wanted and row.match == match and row.use in ("fact", "possible")
        }
        return tuple(sorted(found))

    def _index(self, rows: Iterable[table_rows.Code]) -> None:
        lengths: dict[str, set[int]] = {}
        for row in rows:
            key = row.system, self._systems.plain(row.system, row.code)
            index = self._exact if row.match == "exact" else self._prefix
            index[key] = _with_row(index.get(key, _NO_ENTRY), row)
            if row.match == "prefix":
                lengths.setdefault(row.system, set()).add(len(key[1]))
        for system, found in lengths.items():
            self._lengths[system] = tuple(sorted(found, reverse=True))

    def _entry(self, key: _Key) -> _Entry:
        found = self._entries.get(key)
        if found is None:
            found = self._look_up(*key)
            _keep(self._entries, key, found)
        return found

    def _look_up(self, system: str | None, code: str | None) -> _Entry:
        if not system or not code:
            return _NO_ENTRY
        system = self._systems.canonical(system)
        code = self._systems.plain(system, code)
        lengths = (n for n in self._lengths.get(system, ()) if n <= len(code))
        candidates = [self._exact.get((system, code))]
        candidates += [self._prefix.get((system, code[:length])) for length in lengths]
        met = [entry for entry in candidates if entry is not None]
        if not met:
            return _NO_ENTRY
        traps = _NONE.union(*(entry.traps for entry in met))
        return msgspec.structs.replace(met[0], traps=traps)

    def _merge(self, entries: tuple[_Entry, ...], *, trap: bool = True) -> Match:
        traps = _NONE.union(*(entry.traps for entry in entries))
        barred = _NONE.union(*(self._vocabulary.below[name] for name in traps))
        facts = _NONE.union(*(entry.facts for entry in entries)) - barred
        possibles = _NONE.union(*(entry.possibles for entry in entries)) - barred
        sure, unsure = self._vocabulary.upward(facts), self._vocabulary.upward(possibles)
        properties = {entry.property for entry in entries if entry.property}
        return Match(
            concepts=sure | unsure,
            use="fact" if facts or not possibles else "possible",
            trap=trap and bool(traps),
            # Codings that disagree about the property leave the unit to decide.
            property=properties.pop() if len(properties) == 1 else "",
            possible=unsure - sure,
        )


def _keep(cache: dict[_K, _T], key: _K, value: _T) -> None:
    # Longer than any coding that recurs: a sender chooses how much would be remembered.
    if len(str(key)) > _LONGEST_KEY:
        return
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value


def _with_row(entry: _Entry, row: table_rows.Code) -> _Entry:
    """Add a row to what is known of its code; context is known and stands for nothing."""
    one = frozenset({row.concept})
    match row.use:
        case "fact":
            entry = msgspec.structs.replace(entry, facts=entry.facts | one)
        case "possible":
            entry = msgspec.structs.replace(entry, possibles=entry.possibles | one)
        case "trap":
            entry = msgspec.structs.replace(entry, traps=entry.traps | one)
    return msgspec.structs.replace(entry, property=row.property) if row.property else entry


class _Vocabulary:
    """The concepts with their closures, up and down."""

    def __init__(self, rows: Iterable[table_rows.Concept]) -> None:
        parents = {row.concept: row.parents for row in rows}
        self.labels = {row.concept: row.label for row in rows}
        self.above = {name: _closure(name, parents) for name in parents}
        self.below = {
            name: frozenset(other for other in parents if name in self.above[other])
            for name in parents
        }

    def upward(self, concepts: frozenset[str]) -> frozenset[str]:
        """Return the concepts with all their ancestors."""
        return _NONE.union(*(self.above[name] for name in concepts))


def _closure(name: str, parents: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    return _NONE.union({name}, *(_closure(parent, parents) for parent in parents[name]))


class _Systems:
    """The names of code systems, and the one freedom their senders take with a dot."""

    def __init__(self, rows: Iterable[table_rows.System]) -> None:
        self._canonical = {name: row.system for row in rows for name in (row.system, *row.aliases)}
        self._dots = {row.system: row.dot_after for row in rows if row.dot_after is not None}

    def canonical(self, system: str) -> str:
        """Return the canonical name; an unlisted one (a site's own) is its own name."""
        return self._canonical.get(system, system)

    def plain(self, system: str, code: str) -> str:
        """Return the code without the dot that senders leave out."""
        at = self._dots.get(system)
        if at is None or code[at : at + 1] != ".":
            return code
        return code[:at] + code[at + 1 :]


# --- Words -------------------------------------------------------------------------------------


class _WordRow(msgspec.Struct, frozen=True):
    """One row: all phrases must occur."""

    concept: str
    use: str
    phrases: frozenset[tuple[str, ...]]


class _Found(msgspec.Struct, frozen=True):
    """Concepts that a text names, and those that it excludes."""

    facts: frozenset[str]
    possibles: frozenset[str]
    excluded: frozenset[str]


class _WordList:
    """The words of one domain.

    Phrases are found by dictionary, word by word, so that the time is linear in the text.
    """

    def __init__(self, rows: Iterable[table_rows.Words]) -> None:
        self._exact: dict[str, list[_WordRow]] = {}
        self._rows: dict[tuple[str, ...], list[_WordRow]] = {}
        self._starts: dict[str, set[tuple[str, ...]]] = {}
        for row in rows:
            self._add(row)

    def find(self, text: str) -> _Found:
        """Return what the text names."""
        if not text or text.isspace():
            return _Found(_NONE, _NONE, _NONE)
        plain = _plain(text)
        met = list(self._exact.get(" ".join(plain.split()), ()))
        found = self._phrases(plain)
        met += [row for one in found for row in self._rows[one] if row.phrases <= found]
        return _Found(
            facts=_concepts(met, "fact"),
            possibles=_concepts(met, "possible"),
            excluded=_concepts(met, "exclude"),
        )

    def _add(self, row: table_rows.Words) -> None:
        if row.match == "exact":
            key = " ".join(_plain(row.words).split())
            self._exact.setdefault(key, []).append(_WordRow(row.concept, row.use, frozenset()))
            return
        phrases = frozenset(tuple(_WORD.findall(_plain(p))) for p in row.words.split(" + "))
        if not all(phrases):
            row.place.refuse(f"{row.words!r} holds no word to look for")
        for phrase in phrases:
            self._rows.setdefault(phrase, []).append(_WordRow(row.concept, row.use, phrases))
            self._starts.setdefault(phrase[0], set()).add(phrase)

    def _phrases(self, plain: str) -> set[tuple[str, ...]]:
        words = _WORD.findall(plain)
        return {
            phrase
            for at, word in enumerate(words)
            for phrase in self._starts.get(word, ())
            if tuple(words[at : at + len(phrase)]) == phrase
        }


def _word_lists(rows: Iterable[table_rows.Words]) -> dict[str, _WordList]:
    domains: dict[str, list[table_rows.Words]] = {}
    for row in rows:
        domains.setdefault(row.domain, []).append(row)
    for found in domains.values():
        found[:] = [one for row in found for one in _about_each(row, found)]
    return {domain: _WordList(found) for domain, found in domains.items()}


def _about_each(
    row: table_rows.Words, domain: Sequence[table_rows.Words]
) -> Iterator[table_rows.Words]:
    """The row itself, or one for each concept of its domain where it is about any."""
    if row.concept != table_rows.ANY_CONCEPT:
        yield row
        return
    for concept in sorted({one.concept for one in domain} - {table_rows.ANY_CONCEPT}):
        yield msgspec.structs.replace(row, concept=concept)


def _plain(text: str) -> str:
    """Return the text without differences of case, width or superscript (¹⁷⁷Lu is 177lu)."""
    return unicodedata.normalize("NFKC", text).casefold()


def _concepts(rows: Iterable[_WordRow], use: str) -> frozenset[str]:
    return frozenset(row.concept for row in rows if row.use == use)
