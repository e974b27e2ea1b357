"""The log: known keys, small values, one line each, and nothing that a library says."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from contextlib import redirect_stderr
from enum import StrEnum
from typing import Any

import pytest
import structlog

from cds_service.cdshooks.log import (
    KEYS,
    LONGEST_TEXT,
    MOST_MEMBERS,
    LibraryLog,
    bounded,
    make_logger,
    processors,
)
from cds_service.operations.request_ids import RequestIds

MARKER = "ZZ-PATIENT-4711"


class Word(StrEnum):
    """A word of ours."""

    possible = "possible"


class Chart:
    """Shows what nobody may see."""

    def __repr__(self) -> str:
        return MARKER

    __str__ = __repr__


@pytest.fixture
def written() -> io.StringIO:
    """What was written."""
    return io.StringIO()


@pytest.fixture
def logger(written: io.StringIO) -> Any:
    """The service's own logger, into a string."""
    return structlog.wrap_logger(structlog.PrintLogger(written), processors=processors())


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        ("possible", "possible"),
        (Word.possible, "possible"),
        (["a", 1, None], ["a", 1, None]),
        (("a",), ["a"]),
        ({"complete": 9, "failed": 1}, {"complete": 9, "failed": 1}),
        ("a\nb\x1b[31m\u202ec\u2028", "a\ufffdb\ufffd[31m\ufffdc\ufffd"),
        ("x" * 5000, "x" * LONGEST_TEXT + "…"),
        (list(range(1000)), list(range(MOST_MEMBERS))),
        ({"a": {"b": MARKER}}, {"a": "dict"}),
        ([[MARKER]], ["list"]),
        (10**400, "out of range"),
        (float("nan"), "out of range"),
        (b"ZZ-PATIENT-4711", "bytes"),
        (Chart(), "Chart"),
        ([Chart()], ["Chart"]),
        (ValueError(MARKER), "ValueError"),
    ],
)
def test_values(value: Any, kept: Any) -> None:
    """Plain and small; of anything else its class alone."""
    assert kept == bounded(value)


def test_keys(logger: Any, written: io.StringIO) -> None:
    """One that is not listed is left out, whatever it holds."""
    logger.info("hook", caller="ehr", patient=MARKER, exception=MARKER, stack=MARKER)

    line = json.loads(written.getvalue())
    assert {"event", "level", "timestamp", "caller"} == set(line)
    assert line["timestamp"].endswith("Z")


def test_one_line(logger: Any, written: io.StringIO) -> None:
    """Nothing in a value begins another."""
    logger.info("hook", caller='"}\n{"event": "forged"}\r\u2028\x85', reads={"a\nb": 1})

    assert 1 == len(written.getvalue().splitlines())
    assert written.getvalue().isascii()


def test_a_line_is_written_in_one_piece() -> None:
    """With its end, so that no line of another process comes between."""
    pieces: list[str] = []

    class Unbuffered(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    with redirect_stderr(Unbuffered()):
        make_logger().info("hook", caller="ehr")

    (piece,) = pieces
    assert "ehr" == json.loads(piece)["caller"]
    assert piece.endswith("}\n")


@pytest.mark.parametrize("key", sorted(KEYS - {"event", "level", "timestamp"}))
def test_no_key_takes_an_object(logger: Any, written: io.StringIO, key: str) -> None:
    """Not even a listed one shows what an object says of itself."""
    logger.info("hook", **{key: Chart()})

    assert "Chart" == json.loads(written.getvalue())[key]


async def test_lines_of_a_request(logger: Any, written: io.StringIO) -> None:
    """Have its id and its trace."""

    async def app(*_: Any) -> None:
        logger.info("hook")
        logger.info("fault", request_id="of its own")

    scope = {
        "type": "http",
        "headers": [
            (b"x-request-id", b"0f8fad5bd9cb469fa16570867728950e"),
            (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ],
    }
    await RequestIds(app)(scope, None, None)  # type: ignore[arg-type]  (nothing is read or sent)

    first, second = map(json.loads, written.getvalue().splitlines())
    assert "0f8fad5bd9cb469fa16570867728950e" == first["request_id"]
    assert "4bf92f3577b34da6a3ce929d0e0e4736" == first["trace_id"]
    assert "of its own" == second["request_id"]


class TestLibraries:
    """What other packages log."""

    def test_only_the_place(self, logger: Any, written: io.StringIO) -> None:
        """Neither message nor arguments nor traceback."""
        library = logging.getLogger("tests.library")
        library.addHandler(LibraryLog(logger))
        library.propagate = False
        try:
            int(MARKER)
        except ValueError:
            library.exception("GET %s", f"https://fhir.example/Patient/{MARKER}")
        library.warning(MARKER)
        library.info("not even a line")

        first, second = map(json.loads, written.getvalue().splitlines())
        assert "error" == first["level"]
        assert first["error"].startswith("ValueError at test_log.test_only_the_place:")
        assert "tests.library" == second["logger"]
        assert MARKER not in written.getvalue()

    def test_the_whole_process(self) -> None:
        """After the start of a server process, every library's logger is captured."""
        program = f"""
import logging, warnings
import httpx2, uvicorn.config, sqlalchemy
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("httpx2").setLevel(logging.DEBUG)
logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler())
from cds_service.cdshooks.log import capture_library_logs, make_logger
capture_library_logs(make_logger())
uvicorn.config.Config("x", log_config=None, access_log=False)
for name in ("httpx2", "httpcore2", "uvicorn.error", "uvicorn.access", "sqlalchemy.engine", ""):
    logging.getLogger(name).info("{MARKER}")
    logging.getLogger(name).error("{MARKER}")
warnings.warn("{MARKER}")
"""
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )

        lines = [json.loads(line) for line in ran.stderr.splitlines()]
        assert MARKER not in ran.stdout + ran.stderr
        assert [
            "httpx2",
            "httpcore2",
            "uvicorn.error",
            "uvicorn.access",
            "sqlalchemy.engine",
            "root",
            "py.warnings",
        ] == [line["logger"] for line in lines]
