"""The Markdown behind a card's sentence: what blocks, is missing, is to be confirmed, is met.

All wording comes from the trial file; every string that comes from data passes through
:func:`cds_service.cards.text.plain` on its way in. Source of the order: "How sentences interact" of
the eligibility rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cds_service.cards.text import MARK, inside, plain, starts_line
from cds_service.report import CriterionResult, Evidence, Overall, Report, Segment, Status, Version
from cds_service.trial.card_words import DetailWords
from cds_service.trial.schema import Trial

# A card is read in a minute: what goes beyond these counts is in the report only.
MOST_EVIDENCE = 6
MOST_ISSUES = 10
MOST_SEGMENTS = 4
MOST_NAMES = 20
MOST_TITLES = 4

_SHORT = 80
_STOPS = (".", "?", "!", ":", MARK)
_DIGEST = len("sha256:") + 12
_GOOD: frozenset[Status] = frozenset({"met", "not_applicable"})
_OUTLOOK_ENDS = ("excluded", "not_relevant")
_BEST_FIRST: tuple[Overall, ...] = ("all_met", "possible", "not_now", "excluded", "not_relevant")


def report_markdown(report: Report, trial: Trial) -> str:
    """A report as a Markdown document, for the command line and for files."""
    words = trial.card.detail
    title = words.title.format(
        trial=trial.card.trial, subject=plain(report.subject, _SHORT), date=report.as_of
    )
    return f"# {title}\n\n{card_detail(report, trial, level=2)}\n"


def card_detail(report: Report, trial: Trial, *, level: int = 3, signed: bool = True) -> str:
    """A card's detail in GitHub-flavoured Markdown, with no HTML and no links.

    Args:
        report: the report.
        trial: its trial, whose file has the words.
        level: the depth of its headings.
        signed: whether a named person signed the criteria and codes in force.
    """
    words = trial.card.detail
    lead = [words.results.of(report.overall)] + [words.incomplete] * bool(report.unread)
    parts = [f"**{' '.join(lead)}** {words.review.format(date=report.as_of)}"]
    for heading, lines in _sections(report, trial):
        if lines:
            parts += [f"{'#' * level} {heading}", "\n".join(lines)]
    parts += [] if signed else [f"**{words.unsigned}**"]
    parts += [f"*{trial.notice}*", _versions(report, trial)]
    return "\n\n".join(parts)


def _sections(report: Report, trial: Trial) -> Iterator[tuple[str, list[str]]]:
    words = trial.card.detail
    headings = words.headings
    open_still = report.overall != "excluded"
    by_status = {
        headings.blocks: _of(report, "not_met"),
        headings.missing: _of(report, "unknown"),
        # What the record raises comes before what only a person knows.
        headings.confirm: sorted(
            _of(report, "needs_confirmation"), key=lambda one: not one.evidence
        ),
    }
    for heading, results in by_status.items():
        yield heading, [line for one in results for line in _criterion(one, words, ask=open_still)]
    yield headings.unread, [f"- {starts_line(plain(text))}" for text in report.unread[:MOST_NAMES]]
    met = [one for one in report.criteria if one.status in _GOOD]
    yield headings.met, [line for one in met for line in _criterion(one, words, ask=False)]
    yield headings.outlook, _outlook(report, words)
    yield headings.data, _data(report, words)


def _of(report: Report, status: Status) -> list[CriterionResult]:
    return [one for one in report.criteria if one.status == status]


def _criterion(result: CriterionResult, words: DetailWords, *, ask: bool) -> Iterator[str]:
    summary = _sentence(plain(result.summary))
    line = words.criterion.format(title=_title(result), summary=summary)
    yield f"- {line} {_change(result, words)}".rstrip()
    for text in result.advisories[:MOST_EVIDENCE]:
        yield f"  - {words.advisory.format(text=plain(text))}"
    if ask:
        yield from (f"  - {text}" for text in _settles(result, words))
    for one in result.evidence[:MOST_EVIDENCE]:
        yield f"  - {_evidence(one, words)}"
    if (more := len(result.evidence) - MOST_EVIDENCE) > 0:
        yield f"  - {words.more.format(count=more)}"


def _sentence(text: str) -> str:
    """Text that something may follow."""
    return text if text.endswith(_STOPS) else f"{text}."


def _title(result: CriterionResult) -> str:
    return plain(result.title or result.id, _SHORT)


def _change(result: CriterionResult, words: DetailWords) -> str:
    if result.change == "time":
        known = result.eligible_from
        return words.time_unknown if known is None else words.time.format(date=known)
    if result.change is not None:
        return words.new_data if result.change == "new_data" else words.permanent
    # How long something is open says nothing; how long it is settled does.
    through = result.valid_through if result.status in ("met", "not_applicable") else None
    return "" if through is None else words.valid_through.format(date=through)


def _settles(result: CriterionResult, words: DetailWords) -> Iterator[str]:
    for kind, template in (("order", words.settles_order), ("question", words.settles_question)):
        labels = [plain(one.label) for one in result.missing if one.kind == kind]
        if labels:
            yield template.format(labels="; ".join(labels))


def _evidence(one: Evidence, words: DetailWords) -> str:
    value = plain(one.value or "", _SHORT)
    normalized = plain(one.shown or one.normalized or "", _SHORT)
    if value and normalized and value != normalized:
        value = words.same_as.format(value=value, normalized=normalized)
    display, reference = plain(one.display, _SHORT), plain(one.reference, _SHORT)
    parts = [
        value or normalized,
        _days(plain(one.date or "", _SHORT), plain(one.end or "", _SHORT), words),
        reference if display else "",
        *(plain(note) for note in one.notes[:MOST_EVIDENCE]),
    ]
    shown = ", ".join(part for part in parts if part)
    return words.evidence.format(what=display or reference, parts=shown)


def _days(start: str, end: str, words: DetailWords) -> str:
    """The day of something, or its days; a slash marks the end of a period that is not known."""
    if start.startswith("/"):
        return words.until.format(end=end or start[1:])
    if end and start:
        return words.period.format(start=start, end=end)
    if end:
        return words.until.format(end=end)
    return words.since.format(start=start[:-1]) if start.endswith("/") else start


def _outlook(report: Report, words: DetailWords) -> list[str]:
    if report.overall in _OUTLOOK_ENDS:
        return []
    results = {one.id: one for one in report.criteria}
    following: tuple[Segment | None, ...] = (*report.outlook[1:], None)
    lines = [
        f"- {words.then if number else ''}{_segment(one, after, results, words)}"
        for number, (one, after) in enumerate(zip(report.outlook, following, strict=False))
    ]
    return lines[:MOST_SEGMENTS] + _rest(lines, MOST_SEGMENTS, words)


def _segment(
    segment: Segment,
    after: Segment | None,
    results: dict[str, CriterionResult],
    words: DetailWords,
) -> str:
    result = words.segments.of(segment.overall)
    if after is None:
        return words.horizon.format(result=result, date=segment.through)
    reason = _ending(segment, after, results, words)
    if not reason:
        return words.segment.format(result=result, date=segment.through)
    return words.segment_reason.format(result=result, date=segment.through, reason=reason)


def _ending(
    segment: Segment, after: Segment, results: dict[str, CriterionResult], words: DetailWords
) -> str:
    """What ends a run of days; the reason of a run names the criteria whose change began it."""
    better = _BEST_FIRST.index(after.overall) < _BEST_FIRST.index(segment.overall)
    template = words.clears if better else words.expires
    changed = [results[name] for name in after.reason.split(", ") if name in results]
    if better:
        # What is met and expires on the same day blocked nothing.
        changed = [one for one in changed if one.status == "not_met"] or changed
    if not changed:
        return ""
    text = ", ".join(inside(_title(one)) for one in changed[:MOST_TITLES])
    text += " …" if len(changed) > MOST_TITLES else ""
    return (template.one if len(changed) == 1 else template.other).format(titles=text)


def _data(report: Report, words: DetailWords) -> list[str]:
    lines = [f"- {starts_line(plain(text))}" for text in report.advisories[:MOST_ISSUES]]
    for issue in report.data_issues[:MOST_ISSUES]:
        text = words.issue.format(
            message=starts_line(plain(issue.message)), reference=plain(issue.reference, _SHORT)
        )
        lines.append(f"- {text}")
    lines += _rest(report.data_issues, MOST_ISSUES, words)
    if report.unmapped_drugs:
        lines.append(f"- {words.unmapped.format(names=_names(report.unmapped_drugs))}")
    return lines


def _names(texts: Iterable[str]) -> str:
    names = [plain(text, _SHORT) for text in texts]
    return "; ".join(names[:MOST_NAMES]) + (" …" if len(names) > MOST_NAMES else "")


def _rest(items: Sequence[object], most: int, words: DetailWords) -> list[str]:
    more = len(items) - most
    return [f"- {words.more.format(count=more)}"] if more > 0 else []


def _versions(report: Report, trial: Trial) -> str:
    return trial.card.detail.versions.format(
        trial=trial.card.trial,
        text=trial.text_version,
        version=report.trial.version,
        digest=_short(report.trial),
        mappings=report.mappings.version,
        mappings_digest=_short(report.mappings),
    )


def _short(version: Version) -> str:
    return version.digest[:_DIGEST]
