"""How often the process looks for garbage while it serves."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects made between two collections of the youngest generation. The default (700) collects
# several times within one hook, and finds nothing: a hook's objects go by their reference counts.
_THRESHOLDS = (50_000, 20, 50)


@contextmanager
def few_collections() -> Iterator[None]:
    """Keep what the start allocated out of every collection in the block, and make them rare."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
