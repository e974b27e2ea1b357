"""The demo in a browser: a clinician opens charts, orders and dismisses, by keyboard as well."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
# A browser that asks nobody but the demo, and runs as root in a container.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOOK = re.compile(r"/cds-services/[^/]+$")
FEEDBACK = re.compile(r"/cds-services/[^/]+/feedback$")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The distribution's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the demo, started by its own command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    directory = tmp_path_factory.mktemp("demo")
    log = directory / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cds_service.cli", "demo", "--port", str(port)],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_up(process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_up(process: subprocess.Popen[bytes], base_url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{base_url}/cds-services", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the demo did not start:\n{log.read_text()}")


@pytest.fixture
def context(chromium: Browser, demo: str) -> Iterator[BrowserContext]:
    """A window of its own, in which every request to another origin fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=demo)
    foreign: list[str] = []
    context.on(
        "request",
        lambda request: None if request.url.startswith(demo) else foreign.append(request.url),
    )
    yield context
    context.close()

    assert [] == foreign


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """The EHR page, on which no script may fail and nothing may break the content policy."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda line: faults.append(line.text) if "Content Security" in line.text else None,
    )
    page.goto("/")
    yield page

    assert [] == faults


def open_patient(page: Page, name: str) -> None:
    """Choose a patient from the list."""
    page.locator(f"[data-patient={name}]").click()


def card_of(page: Page) -> Locator:
    """The card, once it is there."""
    card = page.locator("article.card")
    expect(card).to_be_visible()
    return card


def wait_for_support(page: Page) -> None:
    """Wait until decision support has answered, with or without a card."""
    expect(page.locator("#cards .pending")).to_have_count(0)
    expect(page.locator("#chart")).not_to_contain_text("Reading…")


def violations(page: Page) -> list[Any]:
    """What axe finds wrong with the page as it stands."""
    # Colours are judged when nothing moves.
    page.wait_for_function("document.getAnimations().every((one) => one.playState === 'finished')")
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def fits_the_window(page: Page) -> bool:
    """Whether nothing scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if target.evaluate("(element) => element === document.activeElement"):
            return
    pytest.fail("the keyboard does not get there")


class TestCards:
    """What opening a chart brings up."""

    def test_a_possible_candidate_gets_a_card(self, page: Page) -> None:
        """It says what is missing, where it comes from, and what could be ordered."""
        open_patient(page, "platelets-missing")
        card = card_of(page)

        expect(card.locator("h4")).to_contain_text("NET RETREAT")
        expect(card.locator(".indicator")).to_have_text(re.compile("Information|Warning"))
        expect(card.locator(".detail")).to_contain_text(re.compile("platelet", re.IGNORECASE))
        expect(card.locator(".source")).to_contain_text("From ")
        expect(card.locator("button.accept").first).to_be_visible()
        expect(page.locator("#announcer")).to_contain_text("Card: ")

    def test_long_lists_are_folded(self, page: Page) -> None:
        """What blocks or is missing stands open; the rest is one step away, with its number."""
        open_patient(page, "everything-met")
        fold = card_of(page).locator(".detail details").first
        expect(fold.locator("summary")).to_have_text(re.compile(r"\(\d+\)$"))
        expect(fold.locator("li").first).to_be_hidden()
        fold.locator("summary").click()

        expect(fold.locator("li").first).to_be_visible()

    def test_an_excluded_patient_gets_no_orders(self, page: Page) -> None:
        """The reason on a card, or no card at all, as the site has it; never a suggestion."""
        open_patient(page, "temozolomide-past")
        wait_for_support(page)

        expect(page.locator("#cards .fault")).to_have_count(0)
        expect(page.locator("button.accept")).to_have_count(0)
        expect(page.locator("#cards")).to_contain_text(
            re.compile("alkylat|temozolomide|No card for this patient", re.IGNORECASE)
        )

    @pytest.mark.parametrize("name", ["ordinary-hypertension", "ordinary-diabetes"])
    def test_an_ordinary_patient_gets_none(self, page: Page, name: str) -> None:
        """Said quietly; the chart is there all the same."""
        open_patient(page, name)
        wait_for_support(page)

        expect(page.locator("#cards")).to_have_text("No card for this patient.")
        expect(page.locator("#diagnoses")).to_contain_text("Hypertension")

    def test_prefetch_can_be_left_out(self, page: Page) -> None:
        """The service then pulls for itself, and says the same."""
        with page.expect_request(HOOK) as with_prefetch:
            open_patient(page, "platelets-low")
        first = card_of(page).locator("h4").inner_text()
        with page.expect_request(HOOK) as without:
            page.get_by_label("Send prefetch").uncheck()
        wait_for_support(page)

        assert "prefetch" in with_prefetch.value.post_data_json
        assert "prefetch" not in without.value.post_data_json
        assert first == card_of(page).locator("h4").inner_text()

    def test_the_developer_panel_shows_what_went_to_and_fro(self, page: Page) -> None:
        """The hook's request and response, as JSON."""
        open_patient(page, "platelets-missing")
        card_of(page)
        page.get_by_text("What the EHR sent and got").click()
        page.locator("#exchanges summary", has_text="Hook").click()
        sent = page.get_by_role("group", name="Sent: Hook")

        expect(sent).to_contain_text('"hook": "patient-view"')
        expect(sent).to_contain_text('"patientId": "platelets-missing"')
        expect(page.get_by_role("group", name="Got: Hook")).to_contain_text('"cards"')

    def test_an_answer_never_shows_up_in_another_chart(self, page: Page) -> None:
        """A slow answer is dropped when its chart has been left."""
        held: list[Route] = []

        def hold(route: Route) -> None:
            if "platelets-missing" in (route.request.post_data or ""):
                held.append(route)
            else:
                route.continue_()

        page.route(HOOK, hold)
        with page.expect_request(HOOK):
            open_patient(page, "platelets-missing")
        open_patient(page, "ordinary-hypertension")
        wait_for_support(page)
        held[0].abort()
        page.wait_for_timeout(200)

        expect(page.locator("#cards")).to_have_text("No card for this patient.")

    @pytest.mark.parametrize("status", [None, 412, 500])
    def test_a_failure_is_never_an_all_clear(self, page: Page, status: int | None) -> None:
        """A service that is off or fails is shown as such."""
        answer = {"status": status, "body": "<h1>Oops</h1>"}
        page.route(HOOK, lambda route: route.fulfill(**answer) if status else route.abort())
        open_patient(page, "everything-met")
        wait_for_support(page)

        expect(page.locator("#cards")).to_contain_text("Decision support is not available.")
        expect(page.locator("#cards")).not_to_contain_text("No card")
        assert [] == violations(page)


class TestActions:
    """What can be done with a card."""

    def test_an_accepted_suggestion_becomes_an_order(self, page: Page, demo: str) -> None:
        """In the chart, on the FHIR server, and told to the service; the focus stays."""
        open_patient(page, "platelets-missing")
        accept = card_of(page).locator("button.accept").first
        expect(page.locator("#orders")).to_contain_text("None recorded.")
        with page.expect_request(FEEDBACK) as feedback:
            accept.click()

        expect(accept).to_have_text(re.compile("^Ordered"))
        expect(accept).to_be_focused()
        expect(page.locator("#orders li")).not_to_have_count(0)
        (entry,) = feedback.value.post_data_json["feedback"]
        assert "accepted" == entry["outcome"]
        orders = httpx2.get(f"{demo}/fhir/ServiceRequest?patient=platelets-missing").json()
        assert orders["total"] >= 1

    def test_a_dismissed_card_is_told_why(self, page: Page) -> None:
        """One of the service's reasons goes back to it; what remains has the focus."""
        open_patient(page, "hemoglobin-outdated")
        card = card_of(page)
        card.get_by_role("button", name="Dismiss…").click()
        reason = card.locator(".dismiss label").first
        words = reason.inner_text()
        reason.click()
        with page.expect_request(FEEDBACK) as feedback:
            card.get_by_role("button", name="Dismiss card").click()

        expect(page.locator(".dismissed")).to_have_text(f"Dismissed: {words}")
        expect(page.locator(".dismissed")).to_be_focused()
        (entry,) = feedback.value.post_data_json["feedback"]
        assert "overridden" == entry["outcome"]
        assert {"code", "system"} <= entry["overrideReason"]["reason"].keys()

    def test_a_service_without_feedback_is_no_problem(self, page: Page) -> None:
        """404 and 405 mean that it does not want any."""
        page.route(FEEDBACK, lambda route: route.fulfill(status=404, body="{}"))
        open_patient(page, "clearance-low")
        card = card_of(page)
        card.get_by_role("button", name="Dismiss…").click()
        card.locator(".dismiss input").first.check()
        with page.expect_response(FEEDBACK):
            card.get_by_role("button", name="Dismiss card").click()

        expect(page.locator(".dismissed")).to_have_text(re.compile("^Dismissed"))
        expect(page.locator(".problem")).to_have_count(0)

    def test_an_order_that_fails_can_be_tried_again(self, page: Page) -> None:
        """Said beside the button, which stays a button."""
        page.route(re.compile("/fhir/ServiceRequest$"), lambda route: route.abort())
        open_patient(page, "platelets-low")
        accept = card_of(page).locator("button.accept").first
        accept.click()

        expect(page.locator(".problem")).to_contain_text("The order was not placed")
        expect(accept).not_to_have_attribute("aria-disabled", "true")


class TestEverybody:
    """Keyboard, small windows, enlarged text, assistive technology."""

    def test_everything_works_by_keyboard(self, page: Page) -> None:
        """Open a chart, order, and dismiss, without a mouse; the focus is never lost."""
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the chart")).to_be_focused()
        tab_to(page, page.locator("[data-patient=hemoglobin-outdated]"))
        page.keyboard.press("Enter")
        expect(page.locator("#patient-name")).to_be_focused()
        card = card_of(page)
        expect(page.locator("#patient-name")).to_be_focused()

        accept = card.locator("button.accept").first
        tab_to(page, accept)
        page.keyboard.press("Enter")
        expect(accept).to_have_text(re.compile("^Ordered"))
        expect(accept).to_be_focused()

        dismiss = card.get_by_role("button", name="Dismiss…")
        tab_to(page, dismiss)
        page.keyboard.press("Enter")
        expect(card.locator(".dismiss input").first).to_be_focused()
        page.keyboard.press("Escape")
        expect(dismiss).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        tab_to(page, card.get_by_role("button", name="Dismiss card"))
        page.keyboard.press("Enter")
        expect(page.locator(".dismissed")).to_be_focused()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("name", ["platelets-missing", "ordinary-diabetes", "messy"])
    def test_axe_finds_nothing(self, page: Page, scheme: str, name: str) -> None:
        """The list, a chart with everything opened up, in both colour schemes."""
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert [] == violations(page)
        open_patient(page, name)
        wait_for_support(page)
        page.get_by_text("What the EHR sent and got").click()
        page.locator("#exchanges summary").last.click()
        for dismiss in page.get_by_role("button", name="Dismiss…").all():
            dismiss.click()

        assert [] == violations(page)

    def test_a_narrow_window_needs_no_sideways_scrolling(self, page: Page) -> None:
        """At 320 pixels: the list, every chart, and the way back."""
        page.set_viewport_size({"width": 320, "height": 700})
        assert fits_the_window(page)
        for link in page.locator("[data-patient]").all():
            link.click()
            wait_for_support(page)
            expect(page.locator("nav.patients")).to_be_hidden()
            assert fits_the_window(page), link.get_attribute("data-patient")
            page.get_by_role("link", name="All patients").click()
            expect(page.locator("nav.patients")).to_be_visible()

    def test_text_can_be_twice_as_large(self, page: Page) -> None:
        """The page follows the reader's font size, and still fits."""
        page.add_init_script(
            "addEventListener('DOMContentLoaded', () => {"
            " document.documentElement.style.fontSize = '200%' })"
        )
        page.goto("/#/patients/platelets-missing")
        page.reload()
        wait_for_support(page)

        assert "32px" == page.evaluate("getComputedStyle(document.body).fontSize")
        assert fits_the_window(page)

    def test_back_and_reload_keep_the_chart(self, page: Page) -> None:
        """The address says which chart is open."""
        open_patient(page, "gilbert")
        expect(page).to_have_title(re.compile("Doyle, Ciaran"))
        page.reload()
        expect(page.locator("#patient-name")).to_have_text("Doyle, Ciaran")
        page.go_back()
        expect(page.locator("#welcome")).to_be_visible()


class TestMessyText:
    """Text from charts and cards is text."""

    def test_markup_in_a_chart_is_inert(self, page: Page) -> None:
        """Scripts, tags and Markdown are shown as they were written."""
        open_patient(page, "messy")
        wait_for_support(page)

        expect(page.locator("#patient-name")).to_contain_text("<b>Sons</b>")
        expect(page.locator("#diagnoses")).to_contain_text("<script>window.__injected = 1</script>")
        expect(page.locator("#results")).to_contain_text("unreadable")
        expect(page.locator("#results")).to_contain_text("in the future")
        assert page.evaluate("window.__injected === undefined")
        assert 0 == page.locator("main script, main img, main iframe, main b, main i").count()
        assert 0 == page.locator("main a[href*='example.org']").count()

    @pytest.mark.parametrize(
        ("markdown", "html"),
        [
            ("plain <b>text</b>", "<p>plain &lt;b&gt;text&lt;/b&gt;</p>"),
            ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
            (
                "**bold** *em* _em_ `co*de`",
                "<p><strong>bold</strong> <em>em</em> <em>em</em> <code>co*de</code></p>",
            ),
            ("not_met and needs_confirmation", "<p>not_met and needs_confirmation</p>"),
            (r"\*plain\* \<b\> \[x\](y)", "<p>*plain* &lt;b&gt; [x](y)</p>"),
            ("5 &lt; 6 &amp; &#124; &#x1F600; &nope;", "<p>5 &lt; 6 &amp; | 😀 &amp;nope;</p>"),
            ("# One\n\ntext\n### Three", "<h5>One</h5><p>text</p><h6>Three</h6>"),
            ("### A\n### B", "<h5>A</h5><h5>B</h5>"),
            ("- a\n- b\n  - c\n- d", "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>"),
            ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
            ("text\n- a", "<p>text</p><ul><li>a</li></ul>"),
            ("one\ntwo", "<p>one\ntwo</p>"),
            ("one  \ntwo", "<p>one<br>two</p>"),
            ("> quoted", "<blockquote><p>quoted</p></blockquote>"),
            ("---", "<hr>"),
            ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
            ("[x](data:text/html,y)", "<p>[x](data:text/html,y)</p>"),
            ("[x](http://other.test/)", "<p>[x](http://other.test/)</p>"),
            ("![x](https://other.test/p.png)", "<p>![x](https://other.test/p.png)</p>"),
            ("https://other.test www.other.test", "<p>https://other.test www.other.test</p>"),
            (
                "[x](https://other.test/?a=1&amp;b=2)",
                (
                    '<p><a href="https://other.test/?a=1&amp;b=2" target="_blank"'
                    ' rel="noopener noreferrer">x</a></p>'
                ),
            ),
        ],
    )
    def test_markdown(self, page: Page, markdown: str, html: str) -> None:
        """What cards may say is rendered; what they may not stays text."""
        rendered = page.evaluate(RENDER, markdown)

        assert html == rendered

    def test_tables(self, page: Page) -> None:
        """With headings, and with cells that hold a bar."""
        rendered = page.evaluate(RENDER, "| A | B |\n|:--|--:|\n| 1 | 2 \\| 3 |\n| 4 |")

        assert (
            '<table><thead><tr><th scope="col">A</th>'
            '<th scope="col" class="end">B</th></tr></thead>'
            '<tbody><tr><td>1</td><td class="end">2 | 3</td></tr>'
            '<tr><td>4</td><td class="end"></td></tr></tbody></table>'
        ) in rendered

    def test_hostile_markdown_takes_no_time(self, page: Page) -> None:
        """Long runs of marks do not hang the page."""
        for text in ("*" * 4000, "[" * 4000, "`a" * 4000, "_a " * 4000, "| " * 4000, "a**" * 4000):
            started = time.monotonic()
            page.evaluate(RENDER, text)

            assert time.monotonic() - started < 3


RENDER = """async (text) => {
  const { renderMarkdown } = await import("/static/markdown.js");
  const holder = document.createElement("div");
  holder.append(renderMarkdown(text, 5));
  return holder.innerHTML;
}"""
