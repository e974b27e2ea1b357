/*
 * The EHR's side of CDS Hooks 2.0 (https://cds-hooks.hl7.org/2.0/): discovery, prefetch, the call, feedback.
 *
 * Every exchange goes through `exchange`, which reports it, so that the page can show what was sent and got.
 */

const CALL_TIMEOUT_MS = 30_000;
const USER = "Practitioner/demo-oncologist";

/** The service or the FHIR server gave no usable answer; the message is fit for the page. */
export class NoAnswer extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** What one patient-view call needs to know. */
export function patientViewContext(patientId) {
  return { userId: USER, patientId };
}

/** This demo's FHIR server, as the service is told. */
export function fhirServer() {
  return `${location.origin}/fhir`;
}

/** The services that this EHR would call when a chart is opened. */
export async function discoverServices(report, signal) {
  const answer = await exchange("Discovery", "GET", "/cds-services", null, report, signal);
  if (!Array.isArray(answer?.services)) throw new NoAnswer("the list of services cannot be read");
  const usable = ({ hook, id }) => hook === "patient-view" && typeof id === "string";
  return answer.services.filter(usable);
}

/**
 * Runs a service's prefetch templates against the FHIR server, side by side.
 *
 * One page of each, as it comes. A template that fails, or has a token unknown to this EHR, is left out.
 */
export async function fillPrefetch(templates, context, report, signal) {
  const filled = await Promise.all(
    Object.entries(templates ?? {}).map(async ([key, template]) => {
      const query = fillTemplate(String(template), context);
      if (query === null) return null;
      try {
        const result = await exchange(`Prefetch “${key}”`, "GET", `/fhir/${query}`, null, report, signal);
        return [key, result];
      } catch (error) {
        if (signal.aborted) throw error;
        return null;
      }
    }),
  );
  return Object.fromEntries(filled.filter((pair) => pair !== null));
}

function fillTemplate(template, context) {
  const known = {
    "context.patientId": context.patientId,
    "context.userId": context.userId,
    userPractitionerId: context.userId.split("/")[1],
  };
  let complete = true;
  const filled = template.replaceAll(/\{\{\s*([\w.]+)\s*\}\}/g, (_, token) => {
    complete &&= token in known;
    return encodeURIComponent(known[token] ?? "");
  });
  return complete && !filled.includes("{{") ? filled : null;
}

/** Calls a patient-view service; returns its cards. */
export async function callService(service, context, prefetch, report, signal) {
  const request = { hook: "patient-view", hookInstance: uuid(), fhirServer: fhirServer(), context };
  if (prefetch) request.prefetch = prefetch;
  const answer = await exchange("Hook", "POST", servicePath(service), request, report, signal);
  if (!Array.isArray(answer?.cards)) throw new NoAnswer("the answer is not a CDS Hooks response");
  return answer.cards;
}

/** Tells the service what became of a card. A service without feedback (404, 405) is no error. */
export async function sendFeedback(service, feedback, report) {
  const entry = { ...feedback, outcomeTimestamp: new Date().toISOString() };
  try {
    await exchange("Feedback", "POST", `${servicePath(service)}/feedback`, { feedback: [entry] }, report);
  } catch (error) {
    if (error.status !== 404 && error.status !== 405) throw error;
  }
}

/** Creates a resource on the FHIR server; returns what the server made of it. */
export async function createResource(resource, report) {
  const path = `/fhir/${encodeURIComponent(String(resource?.resourceType))}`;
  return exchange("Order", "POST", path, resource, report);
}

/** All resources that a FHIR search finds: every page, as long as the pages are this server's. */
export async function searchAll(query, signal) {
  const found = [];
  let next = `/fhir/${query}`;
  for (let page = 0; next && page < 20; page += 1) {
    const bundle = await exchange("Chart", "GET", next, null, () => {}, signal);
    if (bundle?.resourceType !== "Bundle") throw new NoAnswer("the answer is not a Bundle");
    found.push(...(bundle.entry ?? []).map((entry) => entry.resource));
    next = nextPage(bundle);
  }
  if (next) throw new NoAnswer("there are more pages than this page reads");
  return found;
}

function nextPage(bundle) {
  const link = (bundle.link ?? []).find((candidate) => candidate.relation === "next");
  if (!link) return null;
  const url = new URL(link.url, location.href);
  if (url.origin !== location.origin) throw new NoAnswer("the next page is on another server");
  return url.href;
}

function servicePath(service) {
  return `/cds-services/${encodeURIComponent(service.id)}`;
}

async function exchange(label, method, url, body, report, signal) {
  const record = { label, method, url, request: body, status: null, response: null, ms: 0 };
  const started = performance.now();
  try {
    const response = await fetch(url, requestOf(method, body, signal));
    record.status = response.status;
    record.response = readJson(await response.text());
    if (!response.ok) throw refusal(record);
    return record.response;
  } catch (error) {
    if (error instanceof NoAnswer || signal?.aborted) throw error;
    record.response = `No answer: ${error.message}`;
    throw new NoAnswer(error.name === "TimeoutError" ? "no answer in time" : "it cannot be reached");
  } finally {
    record.ms = Math.round(performance.now() - started);
    if (!signal?.aborted) report(record);
  }
}

function refusal({ status, response }) {
  return new NoAnswer(`HTTP ${status}${diagnostics(response)}`, status);
}

function requestOf(method, body, signal) {
  const timeout = AbortSignal.timeout(CALL_TIMEOUT_MS);
  const request = {
    method,
    headers: { Accept: "application/json, application/fhir+json" },
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    cache: "no-store",
  };
  if (body !== null) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  return request;
}

function readJson(text) {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 2_000);
  }
}

function diagnostics(answer) {
  const issue = answer?.resourceType === "OperationOutcome" ? answer.issue?.[0] : null;
  const words = issue?.diagnostics ?? issue?.details?.text;
  return words ? `: ${words}` : "";
}

/** A random UUID, on plain http as well, where browsers have no crypto.randomUUID. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
