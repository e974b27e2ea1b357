"""Reading for as long as there is time: charts of any size come, and an answer must come in time.

The clock is whoever asks; here is only the question whether there is time for more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# Whether there is time for more; once it is over, it stays over.
InTime = Callable[[], bool]

TOO_LARGE: Final = "too large to read in time"
"""Why a type was not read to its end, in words for the card."""

_BETWEEN_LOOKS: Final = 200


def always() -> bool:
    """There is time, however long it takes."""
    return True


class Paced(Generic[T]):
    """Goes through some items up to the moment when time is over.

    Args:
        items: to go through, once; the first few of them in any case.
        in_time: whether there is time for more; asked now and then.
    """

    def __init__(self, items: Sequence[T], in_time: InTime) -> None:
        self._items = items
        self._in_time = in_time
        self._done = 0

    def __iter__(self) -> Iterator[T]:
        """Those for which there is time."""
        while self._done < len(self._items) and (not self._done or self._in_time()):
            yield from self._items[self._done : self._done + _BETWEEN_LOOKS]
            self._done += _BETWEEN_LOOKS

    @property
    def rest(self) -> Sequence[T]:
        """Those for which there was none."""
        return self._items[self._done :]
