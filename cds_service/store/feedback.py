"""What became of a card: which feedback is new, and which of several counts.

An EHR may send a feedback several times, late, and out of order. One with the same content is the
same feedback; of different ones on a card the latest by its own time counts, and of two with the
same time the one received later. A time that cannot be right (more than a day before the card was
issued, or more than a day ahead) is recorded as it came, and the server's time of receipt counts.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cds_service.store import queries
from cds_service.store.chain import canonical, timestamp
from cds_service.store.queries import CardRow
from cds_service.store.records import FeedbackEntry, UnknownCard
from cds_service.store.writing import Transaction

_DAY: Final = timedelta(days=1)


def record_feedback(
    transaction: Transaction, caller: str, service: str, items: Sequence[FeedbackEntry]
) -> list[tuple[str, ...]]:
    """Record feedback, all or none; of each item, the accepted suggestions that its card had.

    Raises:
        UnknownCard: a card is not of this caller and service; nothing was written.
    """
    transaction.lock()
    connection = transaction.connection
    wanted = {item.card for item in items}
    cards = queries.find_cards(connection, caller, service, wanted)
    if len(cards) < len(wanted):
        raise UnknownCard("feedback on a card that this caller was not shown")
    known = [_known(item, cards[item.card]) for item in items]
    for item in items:
        cards[item.card] = _record(transaction, caller, service, item, cards[item.card])
    return known


def effective(sent: datetime, issued: datetime, received: datetime) -> datetime:
    """The time that counts for a feedback."""
    try:
        plausible = issued - _DAY <= sent <= received + _DAY
    except OverflowError:
        return received
    return sent if plausible else received


def _record(
    transaction: Transaction, caller: str, service: str, item: FeedbackEntry, card: CardRow
) -> CardRow:
    """Record one feedback; the card with its outcome afterwards."""
    connection = transaction.connection
    now = transaction.now()
    received = timestamp(now)
    content = _content(item, card)
    comment = _storable(item.comment)
    for known in queries.known_feedback(connection, card.card, canonical(content)):
        # Where the comment was purged, the rest must do.
        if known.comment in (comment, None):
            queries.count_repeat(connection, known.seq, received)
            return card
    counts = timestamp(
        effective(item.outcome_timestamp, datetime.fromisoformat(card.issued_at), now)
    )
    salt = secrets.token_hex(16)
    row = transaction.append(
        "feedback",
        {
            **content,
            "card": card.card,
            "caller": caller,
            "service": service,
            "effectiveAt": counts,
            "comment": None if comment is None else comment_hash(salt, comment),
        },
    )
    queries.add_feedback(connection, row.seq, card.card, canonical(content), received)
    if comment is not None:
        queries.add_comment(connection, row.seq, salt, comment, received)
    if card.outcome_effective_at is not None and counts < card.outcome_effective_at:
        return card
    queries.set_outcome(connection, card.card, item.outcome, counts, received)
    return CardRow(card.card, card.issued_at, card.suggestions, counts)


def comment_hash(salt: str, comment: str) -> str:
    """What the chain holds of a comment.

    The salt is deleted with the comment, so that afterwards nobody can try out what it said.
    """
    return hashlib.sha256(f"{salt}{comment}".encode()).hexdigest()


def _content(item: FeedbackEntry, card: CardRow) -> dict[str, str | int | list[str] | None]:
    """What makes a feedback the same as another, apart from its comment."""
    accepted = _known(item, card)
    return {
        "outcome": item.outcome,
        "outcomeTimestamp": item.outcome_timestamp.isoformat(),
        "acceptedSuggestions": list(accepted),
        "unknownSuggestions": len(set(item.suggestions)) - len(accepted),
        "reason": item.reason,
        "reasonSystem": item.reason_system,
    }


def _known(item: FeedbackEntry, card: CardRow) -> tuple[str, ...]:
    """The accepted suggestions that the card had; anything else is text of the caller's."""
    return tuple(sorted(set(item.suggestions) & set(json.loads(card.suggestions))))


def _storable(comment: str | None) -> str | None:
    """A comment without what PostgreSQL or UTF-8 cannot hold."""
    if comment is None:
        return None
    return comment.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
