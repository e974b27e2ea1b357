/*
 * The chart summary: diagnoses, medications, latest results, procedures, orders, as the FHIR server has them.
 *
 * Charts hold anything, so a value that is not as it should be is shown as unreadable, and never ends the page.
 */

import { el } from "./dom.js";
import { NoAnswer, searchAll } from "./hooks.js";

const UNREADABLE = "unreadable";

// In reading order; the two columns stand side by side where there is room.
const COLUMNS = [
  [
    { id: "diagnoses", title: "Diagnoses", queries: ["Condition"], rows: diagnosisRows },
    { id: "results", title: "Latest results", queries: ["Observation:_sort=-date"], table: resultRows },
  ],
  [
    {
      id: "medications",
      title: "Medications",
      queries: [
        "MedicationRequest:_include=MedicationRequest:medication",
        "MedicationStatement:_include=MedicationStatement:medication",
        "MedicationAdministration:_include=MedicationAdministration:medication",
      ],
      rows: medicationRows,
    },
    { id: "procedures", title: "Procedures", queries: ["Procedure:_sort=-date"], rows: procedureRows },
    { id: "orders", title: "Orders", queries: ["ServiceRequest"], rows: orderRows },
  ],
];
const SECTIONS = COLUMNS.flat();

/** Fills the chart of a patient, section by section as the answers come. */
export async function showChart(container, patientId, signal) {
  const pending = (section) => frame(section, el("p", { class: "quiet" }, "Reading…"));
  container.replaceChildren(...COLUMNS.map((column) => el("div", { class: "column" }, ...column.map(pending))));
  await Promise.all(SECTIONS.map((section) => fillSection(section, patientId, signal)));
}

/** Reads one section again, after the page has changed the chart. */
export async function refreshSection(id, patientId, signal) {
  await fillSection(SECTIONS.find((section) => section.id === id), patientId, signal);
}

/** The patient's age, sex, birth date and number in one line. */
export function patientFacts(patient, about) {
  const number = patient.identifier?.[0]?.value;
  const born = patient.birthDate;
  return join(about, born && `born ${born}`, number && `record ${number}`);
}

function frame(section, body) {
  const title = el("h3", { id: `${section.id}-title` }, section.title);
  const attributes = { class: `panel ${section.id}`, id: section.id, "aria-labelledby": title.id };
  return el("section", attributes, title, body);
}

async function fillSection(section, patientId, signal) {
  let body;
  try {
    body = sectionBody(section, await readSection(section, patientId, signal));
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof NoAnswer)) throw error;
    const words = `Could not be read (${error.message}). This does not mean that there is nothing.`;
    body = el("p", { class: "fault" }, words);
  }
  if (!signal.aborted) document.getElementById(section.id)?.replaceWith(frame(section, body));
}

async function readSection(section, patientId, signal) {
  const searches = section.queries.map((query) => {
    const [kind, ...options] = query.split(/:(.*)/s).filter(Boolean);
    const parts = [`patient=${encodeURIComponent(patientId)}`, "_count=200", ...options];
    return searchAll(`${kind}?${parts.join("&")}`, signal);
  });
  return (await Promise.all(searches)).flat().filter((resource) => isShown(resource));
}

function isShown(resource) {
  const verification = resource.verificationStatus?.coding?.[0]?.code;
  return resource.status !== "entered-in-error" && verification !== "entered-in-error";
}

function sectionBody(section, resources) {
  const rows = (section.rows ?? section.table)(resources);
  if (rows.length === 0) return el("p", { class: "quiet" }, "None recorded.");
  return section.table ? table(section, rows) : el("ul", {}, ...rows.map(row));
}

function row([name, detail]) {
  const more = detail ? el("span", { class: "quiet" }, detail) : null;
  return el("li", {}, el("span", { class: "name" }, name), more);
}

function table(section, rows) {
  const head = el("tr", {}, ...["Test", "Value", "Date"].map((name) => el("th", { scope: "col" }, name)));
  const lines = rows.map(([name, value, day]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value), el("td", {}, day)),
  );
  const parts = [el("thead", {}, head), el("tbody", {}, ...lines)];
  return el("table", { "aria-labelledby": `${section.id}-title` }, ...parts);
}

function diagnosisRows(resources) {
  return resources.map((condition) => {
    const status = condition.clinicalStatus?.coding?.[0]?.code;
    const since = condition.onsetDateTime && `since ${dayOf(condition.onsetDateTime)}`;
    return [conceptText(condition.code), join(status, since)];
  });
}

function medicationRows(resources) {
  const medications = new Map(
    resources.filter((one) => one.resourceType === "Medication").map((one) => [`Medication/${one.id}`, one]),
  );
  return resources
    .filter((one) => one.resourceType !== "Medication")
    .map((one) => ({ one, day: medicationDay(one) }))
    .sort((a, b) => b.day.localeCompare(a.day))
    .map(({ one, day }) => [drugText(one, medications), join(...medicationDetail(one), day)]);
}

function medicationDay(one) {
  const period = one.effectivePeriod;
  return dayOf(one.authoredOn ?? one.effectiveDateTime ?? period?.end ?? period?.start ?? "");
}

function medicationDetail(one) {
  if (one.resourceType === "MedicationAdministration") return [quantityText(one.dosage?.dose), "given"];
  const kind = one.resourceType === "MedicationRequest" ? "ordered" : "recorded";
  return [one.status, kind];
}

function drugText(one, medications) {
  const reference = one.medicationReference?.reference;
  const contained = (one.contained ?? []).find((resource) => `#${resource.id}` === reference);
  const medication = medications.get(reference) ?? contained;
  return conceptText(one.medicationCodeableConcept ?? medication?.code);
}

function resultRows(resources) {
  const latest = new Map();
  for (const observation of resources) {
    const key = testKey(observation);
    // The search gave the newest first.
    if (!latest.has(key)) latest.set(key, observation);
  }
  return [...latest.values()].map((one) => [conceptText(one.code), valueText(one), resultDay(one)]);
}

/** What makes two results the same test: the code and, for values such as SUV, the method. */
function testKey(observation) {
  const coding = observation.code?.coding?.[0];
  if (!coding) return conceptText(observation.code);
  return `${coding.system}|${coding.code}|${conceptText(observation.method)}`;
}

function resultDay(one) {
  const day = dayOf(one.effectiveDateTime ?? one.effectivePeriod?.end ?? "");
  const today = new Date().toISOString().slice(0, 10);
  return day > today ? `${day} (in the future)` : day;
}

function procedureRows(resources) {
  return resources.map((one) => [
    conceptText(one.code),
    join(one.status, dayOf(one.performedDateTime ?? one.performedPeriod?.end ?? "")),
  ]);
}

function orderRows(resources) {
  return resources.map((one) => [
    conceptText(one.code),
    join(one.status, one.intent, dayOf(one.authoredOn ?? "")),
  ]);
}

function valueText(one) {
  if (one.component) {
    return one.component.map((part) => `${conceptText(part.code)} ${valueText(part)}`).join("; ");
  }
  if ("valueQuantity" in one) return quantityText(one.valueQuantity) || UNREADABLE;
  if ("valueCodeableConcept" in one) return conceptText(one.valueCodeableConcept);
  const value = one.valueInteger ?? one.valueString ?? one.valueDateTime ?? one.valueBoolean;
  return value === undefined ? "no value" : String(value);
}

function quantityText(quantity) {
  if (typeof quantity?.value !== "number") return "";
  return `${quantity.comparator ?? ""}${quantity.value} ${quantity.unit ?? quantity.code ?? "(no unit)"}`;
}

function conceptText(concept) {
  const coding = concept?.coding?.[0];
  return String(concept?.text ?? coding?.display ?? coding?.code ?? "not named");
}

function dayOf(moment) {
  return String(moment).slice(0, 10);
}

function join(...parts) {
  return parts.filter(Boolean).join(" · ");
}
