"""The one sentence of a card: the result, and what matters most next.

Of the patient's data only dates get into it, and how reads went: no text of a chart can change its
meaning.
"""

from __future__ import annotations

from cds_service.cards.text import MARK, inside, plain
from cds_service.report import CriterionResult, Report
from cds_service.trial.card_words import Counted, SummaryWords
from cds_service.trial.schema import Trial

# "one-sentence, <140-character summary" (CDS Hooks 2.0, Card Attributes).
LONGEST = 139

_PART = 70


def card_summary(report: Report, trial: Trial) -> str:
    """The summary of a card, at most 139 characters however they are counted."""
    words = trial.card.summary
    blocked = report.overall in ("not_now", "excluded")
    if report.unread and not blocked:
        unread = ", ".join(plain(text.partition(": ")[0], _PART) for text in report.unread)
        return shortened(words.incomplete.format(trial=trial.card.trial, unread=unread))
    parts = _blockers(report, trial) if blocked else _open(report, words)
    template = words.results.of(report.overall)
    for count in range(len(parts), 0, -1):
        sentence = template.format(trial=trial.card.trial, next=", ".join(parts[:count]))
        if _units(sentence) <= LONGEST:
            return sentence
    return shortened(template.format(trial=trial.card.trial, next=parts[0]))


def shortened(sentence: str) -> str:
    """A sentence cut to the limit, with a mark where something is left out."""
    if _units(sentence) <= LONGEST:
        return sentence
    cut = sentence
    while _units(cut) > LONGEST - len(MARK):
        cut = cut[:-1]
    return cut.rstrip(" ,;:") + MARK


def _units(text: str) -> int:
    """The length as a browser counts it (UTF-16), which is never less than the characters."""
    return len(text.encode("utf-16-le")) // 2


def _blockers(report: Report, trial: Trial) -> list[str]:
    words = trial.card.summary
    blockers = [one for one in report.criteria if one.status == "not_met"]
    blockers.sort(key=_weight)
    parts = [_blocker(blockers[0], trial)] if blockers else [words.nothing_next]
    if report.unread:
        parts.append(words.some_unread)
    if len(blockers) > 1:
        parts.append(words.more.format(count=len(blockers) - 1))
    return parts


def _weight(result: CriterionResult) -> int:
    """What hinders most comes first: history, then what needs new data, then what time cures."""
    return ("permanent", "new_data", "time").index(result.change or "new_data")


def _blocker(result: CriterionResult, trial: Trial) -> str:
    words = trial.card.summary
    headline = _headline(result, trial)
    if result.change == "time" and result.eligible_from is not None:
        return words.blocked_until.format(title=headline, date=result.eligible_from)
    return words.blocked.format(title=headline)


def _headline(result: CriterionResult, trial: Trial) -> str:
    """What is against the patient, by the words for what was found; the title where it has none."""
    title = _title(result)
    spec = trial.criterion(result.id)
    found = None if spec is None else spec.outcomes.get(result.finding)
    # What a person stated has the finding that it was stated against.
    if found is None or found.headline is None or found.status != result.status:
        return title
    return found.headline.format(title=title)


def _open(report: Report, words: SummaryWords) -> list[str]:
    missing = [one for one in report.criteria if one.status == "unknown"]
    confirm = [one for one in report.criteria if one.status == "needs_confirmation"]
    outdated = [one for one in missing if one.finding in words.outdated_findings]
    parts = []
    if missing and len(missing) > len(outdated[:1]):
        parts.append(_missing(missing, words))
    parts += [words.outdated.format(title=_title(one)) for one in outdated[:1]]
    if confirm:
        parts.append(_counted(confirm, words.confirm))
    return parts or [_validity(report, words)]


def _missing(results: list[CriterionResult], words: SummaryWords) -> str:
    if len(results) == 1 and results[0].finding not in words.undecided_unless:
        return words.undecided.format(title=_title(results[0]))
    return _counted(results, words.missing)


def _counted(results: list[CriterionResult], words: Counted) -> str:
    if len(results) == 1:
        return words.one.format(title=_title(results[0]))
    return words.other.format(count=len(results))


def _validity(report: Report, words: SummaryWords) -> str:
    ends = [one.valid_through for one in report.criteria if one.valid_through is not None]
    return words.valid_through.format(date=min(ends)) if ends else words.nothing_next


def _title(result: CriterionResult) -> str:
    return inside(plain(result.title or result.id, _PART))
