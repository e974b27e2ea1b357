/*
 * Cards: how decision support looks, and what a clinician can do with it (accept, follow a link, dismiss).
 */

import { announce, button, el, icon } from "./dom.js";
import { NoAnswer, createResource, sendFeedback } from "./hooks.js";
import { linkTo, renderMarkdown, safeUrl, withDates } from "./markdown.js";

const INDICATORS = {
  info: { word: "Information", path: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm0 6v5m0-8v1" },
  warning: { word: "Warning", path: "M10 3 18 17H2L10 3Zm0 5v5m0 2v1" },
  critical: { word: "Critical", path: "M6.5 3h7L17 6.5v7L13.5 17h-7L3 13.5v-7L6.5 3ZM10 6v5m0 2v1" },
};
const CARD_HEADING = 4;
const LONG_LIST = 12;

let made = 0;

/**
 * A card as an element.
 *
 * @param {object} card the card as it came.
 * @param {object} desk `service`, `report` (takes exchanges), `onOrder` (called after an order).
 */
export function renderCard(card, desk) {
  const fault = faultOf(card);
  const from = desk.service.title ?? desk.service.id;
  if (fault) return renderFault(`A card of ${from} cannot be shown: ${fault}.`);
  const { word, path } = INDICATORS[card.indicator];
  made += 1;
  const title = el(`h${CARD_HEADING}`, { id: `card-${made}`, tabindex: "-1" }, ...withDates(card.summary));
  const article = el(
    "article",
    { class: `card ${card.indicator}`, "aria-labelledby": title.id },
    el("p", { class: "indicator" }, icon(path), word),
    title,
    suggestionsOf(card, desk),
    detailOf(card),
    linksOf(card),
  );
  article.append(footOf(card, article, desk));
  return article;
}

/** What is shown instead of a card when something went wrong: an error, never an all-clear. */
export function renderFault(message) {
  const words = el("p", {}, el("strong", {}, "Decision support is not available. "), `${message} `);
  const note = el("p", {}, "This does not mean that there is nothing to consider.");
  return el("div", { class: "fault box" }, icon(INDICATORS.warning.path), el("div", {}, words, note));
}

function faultOf(card) {
  if (typeof card?.summary !== "string" || card.summary === "") return "it has no summary";
  if (!Object.hasOwn(INDICATORS, card.indicator)) return "its indicator is unknown";
  if (typeof card.source?.label !== "string") return "it names no source";
  const behaviour = card.selectionBehavior;
  // The specification: a client must treat a card with an unknown selection behaviour as an error.
  const readable = ["any", "at-most-one"].includes(behaviour);
  return card.suggestions?.length && !readable ? "its suggestions cannot be read" : null;
}

function detailOf(card) {
  if (typeof card.detail !== "string") return null;
  const detail = el("div", { class: "detail" }, renderMarkdown(card.detail, CARD_HEADING + 1));
  foldLongLists(detail);
  return detail;
}

/** Folds long lists, but for the first: a service says first what matters most. */
function foldLongLists(detail) {
  const headings = detail.querySelectorAll(`:scope > h${CARD_HEADING + 1}`);
  for (const heading of [...headings].slice(1)) {
    const list = heading.nextElementSibling;
    if (!list?.matches("ul, ol") || list.children.length < LONG_LIST) continue;
    const fold = el("details");
    heading.before(fold);
    heading.append(el("span", { class: "quiet" }, ` (${list.children.length})`));
    fold.append(el("summary", {}, heading), list);
  }
}

function linksOf(card) {
  const links = (card.links ?? []).map((link) => {
    const url = link.type === "absolute" ? safeUrl(link.url) : null;
    return el("li", {}, url ? linkTo(url, link.label) : `${link.label} (cannot be opened from this demo)`);
  });
  return links.length ? el("ul", { class: "links", "aria-label": "Links" }, ...links) : null;
}

function suggestionsOf(card, desk) {
  if (!card.suggestions?.length) return null;
  const group = el("ul", { class: "suggestions", "aria-label": "Suggestions" });
  for (const suggestion of card.suggestions) group.append(suggestionOf(card, suggestion, group, desk));
  return group;
}

function suggestionOf(card, suggestion, group, desk) {
  const actions = suggestion.actions ?? [];
  const possible = actions.every((action) => action.type === "create");
  const words = possible ? descriptions(actions) : "This EHR can only create orders.";
  const note = el("span", { class: "note" }, words);
  const attributes = { class: "accept", "aria-disabled": possible ? null : "true" };
  const onAccept = () => acceptSuggestion(card, suggestion, { accept, note, group }, desk);
  const accept = button(suggestion.label, onAccept, attributes);
  const star = suggestion.isRecommended ? el("span", { class: "recommended" }, "Recommended") : null;
  return el("li", {}, accept, star, note);
}

function descriptions(actions) {
  return actions.map((action) => action.description).filter(Boolean).join("; ");
}

async function acceptSuggestion(card, suggestion, parts, desk) {
  const { accept, note, group } = parts;
  if (accept.getAttribute("aria-disabled") === "true") return;
  // Not `disabled`: the button keeps the focus.
  accept.setAttribute("aria-disabled", "true");
  note.classList.remove("problem");
  note.textContent = "Placing the order…";
  try {
    for (const action of suggestion.actions ?? []) await createResource(action.resource, desk.report);
  } catch (error) {
    accept.removeAttribute("aria-disabled");
    showProblem(note, error, "The order was not placed");
    return;
  }
  accept.textContent = "Ordered as a draft";
  accept.classList.add("done");
  note.textContent = "The draft is in the chart, for a clinician to sign.";
  announce(note.textContent);
  if (card.selectionBehavior === "at-most-one") closeOthers(group, accept);
  desk.onOrder();
  const outcome = { outcome: "accepted", acceptedSuggestions: [{ id: suggestion.uuid }] };
  await tellService(card, outcome, note, desk, suggestion.uuid);
}

function closeOthers(group, accepted) {
  for (const other of group.querySelectorAll("button.accept")) {
    if (other !== accepted) other.setAttribute("aria-disabled", "true");
  }
}

/** Feedback, where the card (and the suggestion) can be named in it. */
async function tellService(card, outcome, note, desk, ...needed) {
  if (![card.uuid, ...needed].every(Boolean)) return;
  try {
    await sendFeedback(desk.service, { card: card.uuid, ...outcome }, desk.report);
  } catch (error) {
    showProblem(note, error, "Done, but the service could not be told");
  }
}

function showProblem(note, error, words) {
  if (!(error instanceof NoAnswer)) throw error;
  note.classList.add("problem");
  note.textContent = `${words}: ${error.message}.`;
  announce(note.textContent);
}

function footOf(card, article, desk) {
  const url = safeUrl(card.source.url ?? "");
  const { label } = card.source;
  const source = el("p", { class: "source" }, "From ", card.source.url && url ? linkTo(url, label) : label);
  const form = dismissForm(card, article, desk);
  const attributes = { class: "plain", "aria-expanded": "false", "aria-controls": form.id };
  const toggle = button("Dismiss…", () => toggleForm(toggle, form), attributes);
  form.addEventListener("reset", () => toggleForm(toggle, form));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") toggleForm(toggle, form);
  });
  return el("footer", {}, el("div", { class: "foot-line" }, source, toggle), form);
}

function toggleForm(toggle, form) {
  form.hidden = !form.hidden;
  toggle.setAttribute("aria-expanded", String(!form.hidden));
  (form.hidden ? toggle : form.querySelector("input, button")).focus();
}

function dismissForm(card, article, desk) {
  const name = `reason-${made}`;
  const reasons = (card.overrideReasons ?? []).map((reason, index) => {
    const input = el("input", { type: "radio", name, value: String(index), required: true });
    return el("label", {}, input, reason.display ?? reason.code);
  });
  const legend = el("legend", {}, reasons.length ? "Why?" : "Dismiss this card?");
  const choices = el("fieldset", {}, legend, ...reasons);
  const send = el("button", { type: "submit" }, "Dismiss card");
  const cancel = el("button", { type: "reset", class: "plain" }, "Cancel");
  const buttons = el("div", { class: "buttons" }, send, cancel);
  const form = el("form", { class: "dismiss", id: `dismiss-${made}`, hidden: true }, choices, buttons);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const reason = card.overrideReasons?.[Number(new FormData(form).get(name))];
    dismissCard(card, reason, article, desk);
  });
  return form;
}

async function dismissCard(card, reason, article, desk) {
  const words = reason ? `Dismissed: ${reason.display ?? reason.code}` : "Dismissed";
  const note = el("p", { class: "dismissed", tabindex: "-1" }, words);
  article.replaceWith(note);
  note.focus();
  const why = reason ? { overrideReason: { reason: { code: reason.code, system: reason.system } } } : {};
  await tellService(card, { outcome: "overridden", ...why }, note, desk);
}
