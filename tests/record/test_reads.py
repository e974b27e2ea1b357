"""How a read went that a further reason, too, kept from being whole."""

from __future__ import annotations

import pytest

from cds_service.record.reads import COMPLETE, Failed, NotPermitted, Partial, Read, worsened


@pytest.mark.parametrize(
    ("read", "by", "expected"),
    [
        (COMPLETE, Partial("cut"), Partial("cut")),
        (COMPLETE, Failed("cut"), Failed("cut")),
        (Partial("page 2"), Partial("cut"), Partial("page 2; cut")),
        (Partial("page 2"), Failed("cut"), Failed("page 2; cut")),
        (Failed("HTTP 500"), Partial("cut"), Failed("HTTP 500")),
        (NotPermitted("HTTP 403"), Failed("cut"), NotPermitted("HTTP 403")),
    ],
)
def test_a_read_is_never_better_for_a_further_reason(
    read: Read, by: Partial | Failed, expected: Read
) -> None:
    """Both reasons are told, but where nothing was read in the first place."""
    assert expected == worsened(read, by)
