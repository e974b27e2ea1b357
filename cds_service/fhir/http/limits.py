"""What reading from one FHIR server may cost."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """What one server may cost.

    Args:
        body_bytes: of one answer.
        total_bytes: of all answers to one client, which lives as long as one hook.
        header_bytes, header_count: of one answer.
        connect_s, silence_s: until a connection stands; between two bytes.
        retry_after_s: the longest wait that a busy server may ask for within one chart.
        rest_s: the longest wait that it may ask for between charts.
        connections: open at a time to one server.
        searches: running side by side for one chart.
        pages, entries: of one search.
        failures: charts in a row of which a server answered nothing, until one at a time tries it.
        pause_s: in which that one must know; and the rest of a busy server that asks for none.
    """

    body_bytes: int = 16 * 1024 * 1024
    total_bytes: int = 48 * 1024 * 1024
    header_bytes: int = 32 * 1024
    header_count: int = 100
    connect_s: float = 3
    silence_s: float = 10
    retry_after_s: int = 2
    rest_s: int = 60
    connections: int = 32
    searches: int = 8
    pages: int = 50
    entries: int = 10_000
    failures: int = 5
    pause_s: float = 5
