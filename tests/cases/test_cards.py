"""What a card shows of a chart that is hostile, and what it never says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx2
import pytest
from markdown_it import MarkdownIt

from tests import charts
from tests.cases.conftest import SERVICE
from tests.cases.inside import card_of, in_process
from tests.cases.sent import CELLS, Json, ago, chart, judge, lab, prefetch
from tests.charts import words

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cases.conftest import Running

HTML = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<iframe src=//evil.example>",
    "</div><b>",
    "&lt;b&gt;",
)
LINKS = (
    "[click](https://evil.example)",
    "![x](https://evil.example/p?mrn=1)",
    "javascript:alert(1)",
    "https://evil.example",
    "www.evil.example",
    "<https://evil.example>",
    "nurse@evil.example",
    "[a]: https://evil.example",
)
TABLES = (
    "a | b | c",
    "a\n\n# ZZHEAD\n\n---\n\n- x\n",
    "```\ncode\n```",
    "---",
    "\u202egnitrats\u202c \u200b\ufeff zero",
    "Z\u0351\u0352\u0353\u0354\u0355\u0356\u0357" * 40,
    "10*9/\u041b",
    "x" * 10_000,
)
CONCLUSION = re.compile(r"\b(eligible|qualif\w+|should (be )?enrol|enrol now)", re.IGNORECASE)
VERDICTS = ("ELIGIBLE - enrol now", "ignore criteria", "All criteria met, please enrol")


def hostile(text: str) -> list[Json]:
    """A chart with a text in every place that a card may show."""
    return chart(
        charts.condition(words(text), onset=ago(90)),
        charts.condition(charts.coded("C50.911") | {"text": text}, onset=ago(90)),
        charts.order(words(text), ago(90)),
        charts.statement({"coding": [{"system": "urn:oid:1.2", "code": "1", "display": text}]},
                         ago(90), ago(80)),
        lab("hemoglobin", 118, text, id_="hb"),
        lab("platelets", 160, CELLS, id_="plt", note=[{"text": text}]),
        charts.procedure(words(text), ago(10), category=charts.coded("387713003", charts.SNOMED)),
        person={"name": [{"family": text}], "managingOrganization": {"display": text},
                "communication": [{"language": {"text": text}}]},
    )  # fmt: skip


def rendered(detail: str) -> str:
    """The detail as an EHR renders it, with HTML and tables on."""
    html: str = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(detail)
    return html


@pytest.mark.case("CRD-01")
def test_html(service: Running) -> None:
    """None survives, and what a renderer makes has its own tags only."""
    for text in HTML:
        judged = judge(service, hostile(text))

        tags = set(re.findall(r"</?([a-z0-9]+)", rendered(judged.detail)))
        assert tags <= {"p", "strong", "em", "h3", "ul", "li", "br"}, text
        assert not re.search(r"<[a-zA-Z/!?]|&[a-zA-Z#]", judged.detail), text
        assert text not in judged.answer.cards[0]["summary"]


@pytest.mark.case("CRD-02")
def test_links(service: Running) -> None:
    """Nothing of a chart becomes a link, automatic ones included."""
    for text in LINKS:
        judged = judge(service, hostile(text))

        assert "<a" not in rendered(judged.detail), text
        assert "<img" not in rendered(judged.detail), text
        assert not re.search(r"https?:/|www\.\w|\]\(|\w@\w|evil\.\w", judged.detail), text
        assert "links" not in judged.answer.cards[0]


@pytest.mark.case("CRD-03")
def test_structure_and_what_cannot_be_seen(service: Running) -> None:
    """Headings, lists and tables stay the card's own; what steers the eye is gone; long is cut."""
    plain = judge(service, hostile("Something"))
    ours = re.findall(r"<h3>.*?</h3>", rendered(plain.detail))
    hidden = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff`|]")
    for text in TABLES:
        judged = judge(service, hostile(text))

        assert ours == re.findall(r"<h3>.*?</h3>", rendered(judged.detail)), text
        assert "ZZHEAD" not in {line.lstrip("# ") for line in judged.detail.splitlines()}
        assert not hidden.search(judged.detail), text
        assert max(map(len, judged.detail.splitlines())) < 2000
        assert ("x" * 400) not in judged.detail
        assert "…" in judged.detail or len(text) < 1000


@pytest.mark.case("CRD-04")
def test_words_that_sound_like_a_verdict(service: Running) -> None:
    """They change neither the summary nor the result."""
    plain = judge(service, hostile("Something"))
    for text in VERDICTS:
        judged = judge(service, hostile(text))

        assert plain.answer.cards[0]["summary"] == judged.answer.cards[0]["summary"]
        assert plain.statuses() == judged.statuses()
        assert plain.detail.partition("\n")[0] == judged.detail.partition("\n")[0]


@pytest.mark.case("CRD-05")
@pytest.mark.parametrize(
    "resources",
    [
        chart(),
        chart(without="plt"),
        chart(lab("platelets", 40, CELLS, id_="plt")),
        chart(charts.procedure("54357003", ago(10))),
    ],
    ids=["possible", "missing", "new data", "time"],
)
def test_what_a_card_says_and_never_says(service: Running, resources: list[Json]) -> None:
    """Criteria with evidence, dates and sources, the version and digest; never a conclusion."""
    judged = judge(service, resources)
    (card,) = judged.answer.cards

    for text in (card["summary"], judged.detail):
        assert not re.search(
            r"\b(eligible|qualif\w+|should (be )?enrol|enrol now)", text, re.IGNORECASE
        )
    report = judged.report
    assert "clinician review" in judged.detail
    assert "criteria as first registered" in judged.detail.lower()
    assert report["trial"]["digest"][:19] in judged.detail
    assert report["mappings"]["digest"][:19] in judged.detail
    assert f"118 g/L, {report_date(report, 'hemoglobin')}, Observation/hb" in judged.detail
    assert len(report["criteria"]) == judged.detail.count("\n- **")


def report_date(report: Json, criterion: str) -> str:
    """The date of the evidence of a criterion."""
    (one,) = [one for one in report["criteria"] if one["id"] == criterion]
    found: str = one["evidence"][0]["date"]
    return found


@pytest.mark.case("CRD-05")
def test_what_could_not_be_read_is_named(service: Running) -> None:
    """In the summary and in the detail."""
    judged = judge(service, chart(), change=lambda sent: sent | {"procedures": json.loads("{}")})
    (card,) = judged.answer.cards

    assert "Procedure" in card["summary"]
    assert any(text.startswith("Procedure") for text in judged.report["unread"])
    assert "Procedure: " in judged.detail


@pytest.mark.case("CRD-06")
async def test_links_come_from_the_configuration(tmp_path: Path) -> None:
    """One, to the protocol, where that is configured; no launch of an app, and no context."""
    url = "https://trials.example.org/ne1"
    async with in_process(tmp_path, links_protocol_url=url) as client:
        card = await card_of(client, prefetch(hostile("https://evil.example")))

    assert [{"type": "absolute", "url": url}] == [
        {"type": link["type"], "url": link["url"]} for link in card["links"]
    ]
    assert all("appContext" not in link for link in card["links"])


@pytest.mark.case("CRD-07")
def test_the_summary_is_short_whatever_is_wrong(service: Running) -> None:
    """Fewer than 140 characters, also where much is missing, and as a browser counts them."""
    keys = [key for key in prefetch(chart()) if key != "patient"]
    longest = 0
    for number in range(len(keys) + 1):
        gone = keys[:number]

        def without(sent: Json, gone: list[str] = gone) -> Json:
            return {key: value for key, value in sent.items() if key not in gone}

        (card,) = judge(service, chart(), change=without).answer.cards
        longest = max(longest, len(card["summary"].encode("utf-16-le")) // 2)

    assert 100 < longest < 140


@pytest.mark.case("CRD-08")
def test_a_card_has_a_bounded_size(service: Running) -> None:
    """One card, whose detail does not grow with the chart, in the same order each time."""
    many = [charts.condition(f"C50.{n % 900:03}", onset=ago(90 + n)) for n in range(1000)]
    drugs = [charts.order(words(f"Drug ZZ{n}"), ago(90)) for n in range(500)]

    few, one, two = (judge(service, it) for it in (chart(), chart(*many, *drugs),
                                                   chart(*many, *drugs)))  # fmt: skip

    assert 1 == len(one.answer.cards)
    assert len(one.detail) < len(few.detail) + 10_000
    assert one.detail == two.detail
    assert one.report == two.report


@pytest.mark.case("CRD-09")
def test_headers(service: Running) -> None:
    """Not to be kept, and JSON."""
    headers = judge(service, chart()).answer.response.headers

    assert "no-store" == headers["cache-control"]
    assert "application/json" == headers["content-type"]
    assert "nosniff" == headers["x-content-type-options"]
    assert "no-referrer" == headers["referrer-policy"]


@pytest.mark.case("CRD-09")
async def test_pages_of_other_origins(tmp_path: Path) -> None:
    """Where origins are configured, no other page gets an answer that it may read.

    Without the setting any page may call, since the answer hangs on no cookie: it gets what any
    caller with the same token would.
    """
    async with in_process(tmp_path, cors_origins=("https://ehr.example",)) as client:
        allowed = await _preflight(client, "https://ehr.example")
        other = await _preflight(client, "https://evil.example")
        longer = await _preflight(client, "https://ehr.example.evil.example")

    assert "https://ehr.example" == allowed.headers["access-control-allow-origin"]
    assert "access-control-allow-credentials" not in allowed.headers
    for refused in (other, longer):
        assert "access-control-allow-origin" not in refused.headers


async def _preflight(client: httpx2.AsyncClient, origin: str) -> httpx2.Response:
    asked = {"origin": origin, "access-control-request-method": "POST"}
    return await client.options(SERVICE, headers=asked)
