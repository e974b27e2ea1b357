/*
 * Renders the part of GitHub-flavoured Markdown that cards use, as DOM nodes.
 *
 * Safe by construction: text only ever becomes text nodes, there is no way to HTML, and a link is made only
 * to https or to this origin. HTML in the source is shown as the characters it is made of.
 */

const LONGEST = 100_000;

const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/;
const FENCE = /^ {0,3}(```+|~~~+)/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(\s+|$)/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

const INLINE = new RegExp(
  [
    String.raw`\\([!-/:-@[-\x60{-~])`, // 1: an escaped character
    String.raw`(\x60+)(.+?)(?<!\x60)\2(?!\x60)`, // 2, 3: code
    String.raw`(!?)\[((?:\\.|[^\[\]\\])*)\]\(\s*([^\s()<>]+)(?:\s+"[^"]*")?\s*\)`, // 4, 5, 6: image or link
    String.raw`(\*\*|~~)(?=\S)((?:\\.|[^\\])*?\S)\7`, // 7, 8: strong, deleted
    String.raw`(?<![\w_])__(?=\S)((?:\\.|[^\\])*?\S)__(?![\w_])`, // 9: strong
    String.raw`\*(?=[^\s*])((?:\\.|[^\\*])*?[^\s*])\*`, // 10: emphasis
    String.raw`(?<![\w_])_(?=[^\s_])((?:\\.|[^\\_])*?[^\s_])_(?![\w_])`, // 11: emphasis
    String.raw`&(amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});`, // 12: a character reference
    String.raw`( {2,}\n|\\\n)`, // 13: a hard line break
  ].join("|"),
  "gs",
);

const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const STRONG = { "**": "strong", "~~": "del" };

/**
 * Markdown as a document fragment.
 *
 * @param {string} text the Markdown.
 * @param {number} topHeading the level that its first heading gets; no level is skipped after it, down to 6.
 */
export function renderMarkdown(text, topHeading = 1) {
  const fragment = document.createDocumentFragment();
  const lines = text.slice(0, LONGEST).replaceAll("\r\n", "\n").split("\n");
  appendBlocks(fragment, lines, { top: topHeading, firstDepth: null, last: topHeading - 1 });
  return fragment;
}

/** Plain text as nodes, its dates marked as such: a browser would break the line at their hyphens. */
export function withDates(text) {
  // The pattern has one group, so that every second part is a date.
  return text.split(/\b(\d{4}-\d{2}-\d{2})\b/).map((part, index) => (index % 2 ? make("time", part) : part));
}

/** A URL that a card may link to, or null. */
export function safeUrl(text) {
  let url;
  try {
    url = new URL(text, location.href);
  } catch {
    return null;
  }
  return url.protocol === "https:" || url.origin === location.origin ? url : null;
}

/** A link that leaves this page's origin in a tab of its own. */
export function linkTo(url, ...children) {
  const link = make("a", ...children);
  link.href = url.href;
  if (url.origin !== location.origin) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  return link;
}

function make(tag, ...children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}

function appendBlocks(parent, lines, outline) {
  let at = 0;
  while (at < lines.length) {
    at = lines[at].trim() === "" ? at + 1 : appendBlock(parent, lines, at, outline);
  }
}

/** Appends the block that starts at a line; returns the line after it. */
function appendBlock(parent, lines, at, outline) {
  const line = lines[at];
  const heading = HEADING.exec(line);
  if (heading) {
    parent.append(withInline(`h${nextLevel(outline, heading[1].length)}`, heading[2]));
    return at + 1;
  }
  if (RULE.test(line)) {
    parent.append(make("hr"));
    return at + 1;
  }
  if (FENCE.test(line)) return appendFence(parent, lines, at);
  if (QUOTE.test(line)) return appendQuote(parent, lines, at, outline);
  if (ITEM.test(line)) return appendList(parent, lines, at, outline);
  if (isTable(lines, at)) return appendTable(parent, lines, at);
  return appendParagraph(parent, lines, at);
}

/** The level of a heading in the page's outline; steps over no level, as assistive technology relies on it. */
function nextLevel(outline, depth) {
  outline.firstDepth ??= depth;
  const wanted = Math.max(outline.top, outline.top + depth - outline.firstDepth);
  outline.last = Math.min(wanted, outline.last + 1, 6);
  return outline.last;
}

function appendParagraph(parent, lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() !== "" && !interrupts(lines, end)) end += 1;
  parent.append(withInline("p", lines.slice(at, end).map((line) => line.trimStart()).join("\n")));
  return end;
}

function interrupts(lines, at) {
  const line = lines[at];
  return [HEADING, RULE, FENCE, QUOTE, ITEM].some((start) => start.test(line)) || isTable(lines, at);
}

function appendFence(parent, lines, at) {
  const mark = FENCE.exec(lines[at])[1];
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(mark)) end += 1;
  const block = make("pre", make("code", lines.slice(at + 1, end).join("\n")));
  block.tabIndex = 0;
  parent.append(block);
  return end + 1;
}

function appendQuote(parent, lines, at, outline) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const quote = make("blockquote");
  appendBlocks(quote, lines.slice(at, end).map((line) => line.replace(QUOTE, "")), outline);
  parent.append(quote);
  return end;
}

function appendList(parent, lines, at, outline) {
  const [, lead, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const list = make(ordered ? "ol" : "ul");
  if (ordered && parseInt(mark, 10) !== 1) list.start = parseInt(mark, 10);
  let next = at;
  while (next < lines.length && startsItem(lines[next], lead.length, ordered)) {
    const end = itemEnd(lines, next, lead.length);
    const item = make("li");
    appendItem(item, lines.slice(next, end), outline);
    list.append(item);
    next = end;
  }
  parent.append(list);
  return next;
}

function startsItem(line, indent, ordered) {
  const item = ITEM.exec(line);
  return item !== null && item[1].length <= indent + 1 && /\d/.test(item[2]) === ordered && !RULE.test(line);
}

/** Where an item ends: at the next item of its list, or at a line that is no longer indented below it. */
function itemEnd(lines, at, indent) {
  let end = at + 1;
  while (end < lines.length) {
    const blankBefore = lines[end - 1].trim() === "";
    const inside = lines[end].search(/\S/) > indent + 1;
    if (lines[end].trim() !== "" && !inside && (blankBefore || interrupts(lines, end))) break;
    end += 1;
  }
  return end;
}

function appendItem(item, lines, outline) {
  const body = [lines[0].replace(ITEM, ""), ...lines.slice(1).map((line) => line.replace(/^ {1,4}|^\t/, ""))];
  appendBlocks(item, body, outline);
  // A tight item holds its text directly, as GFM has it.
  const [first] = item.children;
  if (first?.tagName === "P" && !lines.slice(0, -1).some((line) => line.trim() === "")) {
    first.replaceWith(...first.childNodes);
  }
}

function isTable(lines, at) {
  const rule = lines[at + 1];
  return lines[at].includes("|") && rule !== undefined && rule.includes("-") && TABLE_RULE.test(rule);
}

function appendTable(parent, lines, at) {
  const sides = splitRow(lines[at + 1]).map(sideOf);
  const head = make("thead", tableRow("th", splitRow(lines[at]), sides));
  const body = make("tbody");
  let end = at + 2;
  for (; end < lines.length && lines[end].trim() !== "" && lines[end].includes("|"); end += 1) {
    const cells = splitRow(lines[end]);
    body.append(tableRow("td", sides.map((_, index) => cells[index] ?? ""), sides));
  }
  const frame = make("div", make("table", head, body));
  // Wide tables scroll by themselves, by keyboard as well, instead of the page.
  frame.className = "table-frame";
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", "Table");
  parent.append(frame);
  return end;
}

function sideOf(cell) {
  if (!cell.endsWith(":")) return "";
  return cell.startsWith(":") ? "centre" : "end";
}

function tableRow(tag, cells, sides) {
  const row = make("tr");
  cells.forEach((cell, index) => {
    const element = withInline(tag, cell);
    if (tag === "th") element.scope = "col";
    if (sides[index]) element.className = sides[index];
    row.append(element);
  });
  return row;
}

function splitRow(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function withInline(tag, text) {
  const element = make(tag);
  appendInline(element, text);
  return element;
}

function appendInline(parent, text) {
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    parent.append(...withDates(text.slice(at, match.index)), inlineNode(match));
    at = match.index + match[0].length;
  }
  parent.append(...withDates(text.slice(at)));
}

function inlineNode(match) {
  const [whole, escaped, ticks, code, bang, label, target, ...rest] = match;
  const [mark, marked, strong, star, under, reference, lineBreak] = rest;
  if (escaped) return escaped;
  if (ticks) return make("code", code.trim());
  if (target !== undefined) return linkNode(whole, bang, label, target);
  if (mark) return withInline(STRONG[mark], marked);
  if (strong) return withInline("strong", strong);
  if (star ?? under) return withInline("em", star ?? under);
  if (reference) return characterOf(reference) ?? whole;
  return lineBreak ? make("br") : whole;
}

function linkNode(whole, bang, label, target) {
  const written = target.replaceAll("&amp;", "&").replaceAll(/\\([!-/:-@[-`{-~])/g, "$1");
  const url = bang ? null : safeUrl(written);
  if (url === null) return whole;
  const link = linkTo(url);
  appendInline(link, label);
  return link;
}

function characterOf(reference) {
  if (reference in NAMED) return NAMED[reference];
  const code = /^#[xX]/.test(reference) ? parseInt(reference.slice(2), 16) : parseInt(reference.slice(1), 10);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : null;
}
