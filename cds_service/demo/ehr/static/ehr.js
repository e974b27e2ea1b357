/*
 * The EHR page: which patient is open, and the decision support that opening a chart asks for.
 *
 * The address (#/patients/<id>) says which chart is open, so that Back, reload and bookmarks work.
 */

import { renderCard, renderFault } from "./cards.js";
import { patientFacts, refreshSection, showChart } from "./chart.js";
import { announce, el } from "./dom.js";
import {
  NoAnswer,
  callService,
  discoverServices,
  fillPrefetch,
  patientViewContext,
  searchAll,
} from "./hooks.js";

const page = {
  list: document.querySelectorAll("[data-patient]"),
  welcome: document.getElementById("welcome"),
  patient: document.getElementById("patient"),
  name: document.getElementById("patient-name"),
  facts: document.getElementById("patient-facts"),
  cards: document.getElementById("cards"),
  chart: document.getElementById("chart"),
  exchanges: document.getElementById("exchanges"),
  sendPrefetch: document.getElementById("send-prefetch"),
};

// Leaving a chart ends what was under way for it, so that no answer shows up in another patient's; asking
// decision support again ends the question before.
let leaveChart = new AbortController();
let dropQuestion = new AbortController();

function followAddress() {
  const id = /^#\/patients\/([A-Za-z0-9.-]{1,64})$/.exec(location.hash)?.[1];
  const link = [...page.list].find((candidate) => candidate.dataset.patient === id);
  leaveChart.abort();
  leaveChart = new AbortController();
  for (const other of page.list) other.toggleAttribute("aria-current", false);
  document.body.classList.toggle("open", Boolean(link));
  page.welcome.hidden = Boolean(link);
  page.patient.hidden = !link;
  if (link) openPatient(id, link, leaveChart.signal);
  else closePatient();
}

function openPatient(id, link, signal) {
  link.setAttribute("aria-current", "page");
  const name = link.querySelector(".name").textContent;
  const about = link.querySelector(".about").textContent;
  document.title = `${name} – Demo EHR`;
  page.name.textContent = name;
  page.facts.textContent = about;
  page.name.focus();
  scrollTo(0, 0);
  guard(showFacts(id, about, signal));
  guard(showChart(page.chart, id, signal));
  guard(askForSupport(id, signal));
}

function closePatient() {
  document.title = "Patients – Demo EHR";
  page.cards.replaceChildren();
  page.chart.replaceChildren();
  page.exchanges.replaceChildren();
  announce("");
}

async function showFacts(id, about, signal) {
  const [patient] = await searchAll(`Patient?_id=${encodeURIComponent(id)}`, signal);
  if (patient && !signal.aborted) page.facts.textContent = patientFacts(patient, about);
}

/** Fires patient-view at every service that offers it, and shows what comes of it. */
async function askForSupport(id, chartSignal) {
  dropQuestion.abort();
  dropQuestion = new AbortController();
  const signal = AbortSignal.any([chartSignal, dropQuestion.signal]);
  page.exchanges.replaceChildren();
  page.cards.replaceChildren(el("p", { class: "quiet pending" }, "Asking decision support…"));
  announce("Asking decision support");
  const answers = await answersFor(id, signal);
  if (signal.aborted) return;
  const cards = answers.flat();
  page.cards.replaceChildren(...(cards.length ? cards : [noCard()]));
  announce(cards.length ? announcement(cards) : "No card for this patient.");
}

async function answersFor(id, signal) {
  try {
    const services = await discoverServices(showExchange, signal);
    if (services.length === 0) return [renderFault("No service is offered for opening a chart.")];
    return await Promise.all(services.map((service) => cardsOf(service, id, signal)));
  } catch (error) {
    return [faultOrThrow(error, "The list of services could not be had", signal)];
  }
}

async function cardsOf(service, id, signal) {
  const context = patientViewContext(id);
  const report = (record) => signal.aborted || showExchange(record);
  const desk = { service, report, onOrder: () => guard(refreshSection("orders", id, signal)) };
  try {
    const filling = page.sendPrefetch.checked ? fillPrefetch(service.prefetch, context, report, signal) : null;
    const prefetch = await filling;
    const cards = await callService(service, context, prefetch, report, signal);
    return cards.map((card) => renderCard(card, desk));
  } catch (error) {
    return [faultOrThrow(error, `${service.title ?? service.id} did not answer`, signal)];
  }
}

function faultOrThrow(error, words, signal) {
  if (!(error instanceof NoAnswer) && !signal.aborted) throw error;
  return renderFault(`${words} (${error.message}).`);
}

function noCard() {
  return el("p", { class: "quiet no-card" }, "No card for this patient.");
}

function announcement(shown) {
  const words = shown.map((one) => {
    const summary = one.querySelector("h4");
    return summary ? `Card: ${summary.textContent}` : one.textContent;
  });
  return words.join(". ");
}

/** Adds an exchange to the developer panel; its JSON is written out only when it is opened. */
function showExchange(record) {
  const status = record.status ?? "no answer";
  const what = ` ${record.method} ${record.url} – ${status}, ${record.ms} ms`;
  const line = el("summary", {}, el("strong", {}, record.label), what);
  const details = el("details", {}, line);
  details.addEventListener("toggle", () => writeOut(details, record), { once: true });
  page.exchanges.append(el("li", {}, details));
}

function writeOut(details, record) {
  for (const [title, body] of [["Sent", record.request], ["Got", record.response]]) {
    if (body === null) continue;
    const text = typeof body === "string" ? body : JSON.stringify(body, null, 2);
    const label = `${title}: ${record.label}`;
    const block = el("pre", { tabindex: "0", role: "group", "aria-label": label }, text);
    details.append(el("p", { class: "json-title" }, title), block);
  }
}

/** Work nobody awaits: what was left behind with its chart is no error, anything else is. */
async function guard(work) {
  try {
    await work;
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof NoAnswer)) throw error;
  }
}

addEventListener("hashchange", followAddress);
page.sendPrefetch.addEventListener("change", () => {
  const open = document.querySelector("[data-patient][aria-current]");
  if (open) guard(askForSupport(open.dataset.patient, leaveChart.signal));
});
followAddress();
