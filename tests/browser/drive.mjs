// Opens pages in Chromium and says what is there. Reads one job from stdin, prints one JSON answer; judges nothing.
//
// job:   {chromium, visits: [{url, javascript, screens, slow?, axe?, walk?, enter?, upload?, wait_for?, picture?}]}
//        screens: [{width, height, font_px}], each looked at in turn; font_px is the reader's own text size, usually 16.
//        slow: {kbit_s, latency_ms}. axe: judge accessibility. walk: press Tab through the whole page. enter: {text,
//        submit: "Enter" | "click"}, by keyboard into the field "code". upload: a file for the field "file". wait_for: a selector that a script brings.
//        picture: where to put a screenshot.
// reply: {version, visits: [{address, status, requests, errors, layouts, page, axe?, focus?}]}

import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {text as readAll} from "node:stream/consumers";

import {chromium} from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
// Chromium asks Google's hosts at every start unless told not to; it must be the pages alone that ask for anything.
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const TIMEOUT_MS = 30_000;
const MOST_STOPS = 40;

/** Runs in the page: its words, their languages, and what the keyboard can reach. */
function read() {
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const holder = node.parentElement;
    if (node.data.trim() && holder.checkVisibility()) {
      pieces.push([holder.closest("[lang]")?.lang ?? "", node.data.trim()]);
    }
  }
  return {
    title: document.title,
    lang: document.documentElement.lang,
    pieces,
    reachable: document.querySelectorAll("a[href], button, input, summary").length,
    dom_ms: Math.round(performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd),
  };
}

/** Runs in the page: where its words stand on the screen, and how large. */
function look() {
  const width = document.documentElement.clientWidth;
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const said = node.data.trim();
    const holder = node.parentElement;
    if (!said || !holder.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const style = getComputedStyle(holder);
    pieces.push({
      said,
      boxes: [...range.getClientRects()],
      font_px: parseFloat(style.fontSize),
      clipped: style.overflowX !== "visible" && holder.scrollWidth > holder.clientWidth + 1,
    });
  }
  // The middle of a line: boxes of neighbouring lines may share a pixel or two, glyphs may not.
  const middle = ({left, right, top, bottom}) => {
    const rim = (bottom - top) * 0.25;
    return {left: left + 1, right: right - 1, top: top + rim, bottom: bottom - rim};
  };
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const covered = [];
  pieces.forEach((one, index) => {
    for (const other of pieces.slice(index + 1)) {
      if (one.boxes.some((a) => other.boxes.some((b) => meet(middle(a), middle(b))))) {
        covered.push([one.said, other.said]);
      }
    }
  });
  const heading = document.querySelector("h1");
  const box = heading?.getBoundingClientRect();
  const hit = box && document.elementFromPoint(box.left + 5, (box.top + box.bottom) / 2);
  return {
    sideways_px: document.scrollingElement.scrollWidth - width,
    outside: pieces.filter((p) => p.boxes.some((b) => b.left < -0.5 || b.right > width + 0.5)).map((p) => p.said),
    clipped: pieces.filter((p) => p.clipped).map((p) => p.said),
    covered,
    smallest_px: Math.min(...pieces.map((p) => p.font_px)),
    heading: heading && {
      said: heading.innerText,
      in_sight: box.top >= 0 && box.bottom <= innerHeight && heading.contains(hit),
    },
  };
}

/** Runs in the page: the element that has the keyboard, and whether one can see that. */
function focused() {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return {tag: element.localName, id: element.id, said: element.innerText.trim(), seen};
}

/** Writes down every request of a page with its fate, and everything that the browser complains about. */
async function listen(session, page) {
  const requests = [];
  const errors = [];
  const complain = (kind, text) => errors.push(`${kind}: ${text}`);
  const last = (id) => requests.findLast((request) => request.id === id);
  session.on("Network.requestWillBeSent", ({requestId, request, redirectResponse}) => {
    if (redirectResponse) last(requestId).bytes = redirectResponse.encodedDataLength;
    requests.push({id: requestId, url: request.url, method: request.method, bytes: 0});
  });
  session.on("Network.loadingFinished", ({requestId, encodedDataLength}) => {
    last(requestId).bytes = encodedDataLength;
  });
  session.on("Network.loadingFailed", ({requestId, errorText}) => {
    complain("failed", `${last(requestId)?.url} ${errorText}`);
  });
  session.on("Audits.issueAdded", ({issue}) => {
    if (issue.code === "ContentSecurityPolicyIssue") complain("csp", JSON.stringify(issue.details));
  });
  session.on("Log.entryAdded", ({entry}) => {
    if (entry.level === "error" || entry.level === "warning") complain("log", `${entry.text} ${entry.url ?? ""}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complain("console", message.text());
  });
  page.on("pageerror", (error) => complain("script", error.message));
  await Promise.all(["Network", "Audits", "Log"].map((domain) => session.send(`${domain}.enable`)));
  return {requests, errors};
}

/** Sets the window and the reader's text size, as a browser's settings do. */
async function show(page, session, {width, height, font_px: size}) {
  await page.setViewportSize({width, height});
  await session.send("Page.setFontSizes", {fontSizes: {standard: size, fixed: size}});
}

async function tabThrough(page, done) {
  const stops = [];
  while (stops.length < MOST_STOPS) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(focused);
    if (!stop) break;
    stops.push(stop);
    if (done(stop)) break;
  }
  return stops;
}

/** By keyboard alone, unless told to press the button with the pointer. */
async function enter(page, {text, submit}) {
  const stops = await tabThrough(page, (stop) => stop.id === "code");
  await page.keyboard.type(text);
  const arrived = page.waitForEvent("domcontentloaded");
  await (submit === "click" ? page.locator("form:has(#code) button").click() : page.keyboard.press("Enter"));
  await arrived;
  return stops;
}

/** Chooses a file and presses the button of its form. */
async function upload(page, path) {
  await page.locator("#file").setInputFiles(path);
  const arrived = page.waitForEvent("domcontentloaded");
  await page.locator("form:has(#file) button").click();
  await arrived;
}

async function judge(page) {
  await page.evaluate(AXE);
  const {violations, passes} = await page.evaluate(
    (values) => globalThis.axe.run({runOnly: {type: "tag", values}}),
    TAGS,
  );
  const short = ({id, impact, nodes}) => ({id, impact, where: nodes.map((node) => node.target.join(" "))});
  return {passed: passes.length, violations: violations.map(short)};
}

async function visit(browser, job) {
  const context = await browser.newContext({
    javaScriptEnabled: job.javascript, isMobile: job.screens[0].width < 600, locale: "zh-CN",
  });
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  const {requests, errors} = await listen(session, page);
  await show(page, session, job.screens[0]);
  if (job.slow) {
    const throughput = (job.slow.kbit_s * 1000) / 8;
    await session.send("Network.emulateNetworkConditions", {
      offline: false, latency: job.slow.latency_ms, downloadThroughput: throughput, uploadThroughput: throughput,
    });
  }
  const response = await page.goto(job.url, {waitUntil: "load"});
  const found = {status: response.status(), requests, errors, layouts: []};
  if (job.wait_for) await page.locator(job.wait_for).first().waitFor();
  if (job.enter) found.focus = await enter(page, job.enter);
  if (job.upload) await upload(page, job.upload);
  Object.assign(found, {address: page.url(), page: await page.evaluate(read)});
  for (const screen of job.screens) {
    await show(page, session, screen);
    found.layouts.push(await page.evaluate(look));
  }
  if (job.axe) found.axe = await judge(page);
  if (job.walk) found.focus = await tabThrough(page, () => false);
  if (job.picture) await page.screenshot({path: job.picture});
  await context.close();
  return found;
}

const job = JSON.parse(await readAll(process.stdin));
const browser = await chromium.launch({executablePath: job.chromium, args: FLAGS, timeout: TIMEOUT_MS});
try {
  const visits = [];
  for (const wanted of job.visits) visits.push(await visit(browser, wanted));
  process.stdout.write(JSON.stringify({version: browser.version(), visits}));
} finally {
  await browser.close();
}
