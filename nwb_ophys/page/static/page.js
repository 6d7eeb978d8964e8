// The browser side: sends what fields and buttons say, and shows the state when it changes.
"use strict";

const byId = (id) => document.getElementById(id);
let shown = Number(document.body.dataset.version);
let waiting = false;
let said = "";
let lastJob = null;

// --- requests ------------------------------------------------------------------------------------

const LOST = "The page has lost its server; start nwb-ophys gui again.";

const LONGEST_KEPT = 10000; // browsers limit what is sent after a page is left

let lastSent = Promise.resolve();
let numUnsent = 0;

// Acts reach the server one after the other: "Convert" after the field that was left for it.
async function act(name, values, settle = () => {}) {
  const body = JSON.stringify(values);
  let answer;
  numUnsent += 1;
  try {
    const sent = lastSent.then(() => fetch(`/act/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      keepalive: body.length < LONGEST_KEPT, // a reload does not take it back
    }));
    lastSent = sent.catch(() => {});
    answer = await sent;
  } catch {
    announce(LOST); // and the texts stay in their fields
    return false;
  } finally {
    numUnsent -= 1;
  }
  const outcome = answer.headers.get("Content-Type").startsWith("application/json")
    ? await answer.json() : { errors: { "": [await answer.text()] } };
  const errors = Object.values(outcome.errors || {}).flat();
  if (errors.length) announce(`Error: ${errors.join(" ")}`);
  settle(errors.length === 0 || outcome.is_kept);
  await refresh();
  return errors.length === 0;
}

function announce(text) {
  const place = byId("status");
  if (place.textContent !== text) place.textContent = text;
}

// --- presses ----------------------------------------------------------------------------------

// A press is a click only if the same element is under the pointer when it is released.
const LONGEST_PRESS = 3000;
let released = Promise.resolve();
let release = () => {};

function press() {
  release(); // one whose end was not heard
  released = new Promise((resolve) => { release = resolve; setTimeout(resolve, LONGEST_PRESS); });
}

document.addEventListener("pointerdown", (event) => {
  if (event.button === 0 && !event.target.closest("select")) press();
});
document.addEventListener("keydown", (event) => {
  if (event.key === " " && !event.repeat && event.target.matches("button, [type=checkbox]")) press();
});
for (const name of ["pointerup", "pointercancel", "keyup"]) {
  document.addEventListener(name, () => setTimeout(() => release())); // after the click
}

// --- the state -----------------------------------------------------------------------------------

// Replace the step by the one of the server; the focus, open folds and unsaved texts stay.
async function refresh() {
  if (waiting) return;
  waiting = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const version = Number(page.body.dataset.version);
    await released;
    replace(page.querySelector("main"), "busy" in page.body.dataset);
    byId("steps").replaceChildren(...page.getElementById("steps").childNodes);
    shown = version;
  } finally {
    waiting = false;
  }
}

function replace(next, isBusy) {
  const main = byId("main");
  const focused = document.activeElement && main.contains(document.activeElement)
    ? document.activeElement : null;
  const range = focused && "selectionStart" in focused
    ? [focused.selectionStart, focused.selectionEnd] : null;
  const folds = new Map([...main.querySelectorAll("details[id]")].map((e) => [e.id, e.open]));
  // A text that the server has is in the form when the recording is open with it.
  const unsaved = new Map([...main.querySelectorAll("[data-dirty]")]
    .filter((e) => isBusy || e.dataset.dirty !== "sent").map((e) => [e.id, [e.value, e.dataset.dirty]]));
  const places = [...main.querySelectorAll("datalist")].map((e) => [e.id, [...e.childNodes]]);
  main.replaceChildren(...next.childNodes);
  for (const [id, open] of folds) if (byId(id)) byId(id).open = open || byId(id).open;
  for (const [id, nodes] of places) {
    const list = byId(id);
    if (list && !list.childNodes.length) list.append(...nodes);
  }
  for (const [id, [value, dirty]] of unsaved) {
    const field = byId(id);
    if (field) { field.value = value; field.dataset.dirty = dirty; }
  }
  const again = focused && focused.id ? byId(focused.id) : null;
  if (again) {
    again.focus({ preventScroll: true });
    if (range && range[0] !== null) try { again.setSelectionRange(...range); } catch { /* a list */ }
  } else if (focused) {
    main.focus({ preventScroll: true });
  }
}

function showJob(job, ended, errors) {
  const place = byId("work");
  // The button that cancels goes away; the focus must not go with it.
  if (job === null && place.contains(document.activeElement)) byId("main").focus({ preventScroll: true });
  place.hidden = job === null;
  byId("status").classList.toggle("hidden", job !== null); // heard, and seen above
  if (job !== null) {
    byId("stage").textContent = job.stage;
    byId("detail").textContent = job.detail;
    const bar = byId("bar");
    if (job.fraction === null) bar.removeAttribute("value"); else bar.value = job.fraction;
    const tenths = job.fraction === null ? "" : `, ${Math.floor(job.fraction * 10) * 10} %`;
    announce(`${job.stage}${tenths}`);
  } else if (lastJob !== null) {
    announce(errors.length ? `Error: ${errors.join(" ")}` : ended || "Done.");
  }
  lastJob = job;
}

// A conversion that this tab started, by its key, leads to its result, unless the user went on.
function lead(written) {
  const [next, key, from] = JSON.parse(sessionStorage.getItem("done") || "[]");
  if (!key || key !== written) return false;
  sessionStorage.removeItem("done");
  if (from !== location.pathname) return false;
  location.assign(next);
  return true;
}

async function hear(event) {
  await released; // the progress moves what is below it
  const state = JSON.parse(event.data);
  showJob(state.job, state.ended, state.errors);
  if (!lead(state.written) && state.version !== shown) follow();
}

// Browsers allow six connections to a server: tabs that nobody sees leave theirs to others.
let events = null;
function listen() {
  if (document.hidden) {
    if (events !== null) events.close();
    events = null;
  } else if (events === null) {
    events = new EventSource("/events"); // begins with the present state
    events.onmessage = hear;
    events.onerror = () => announce(LOST);
    events.onopen = () => { if (byId("status").textContent === LOST) announce(""); };
  }
}
document.addEventListener("visibilitychange", listen);
listen();

function follow() {
  if (waiting) setTimeout(follow, 50); else refresh();
}

// --- fields and buttons --------------------------------------------------------------------------

function valuesOf(element) {
  const data = element.dataset;
  const value = element.type === "checkbox" ? element.checked : element.value;
  if (data.act === "tick") {
    const name = data.name || "is_ticked";
    return { index: Number(data.index), [name]: value };
  }
  if (data.act === "stream") return { name: data.stream, is_ticked: value };
  if (data.act === "target") return { [data.name]: value, field: data.field || "" };
  return { key: element.name, value, control: data.control, field: element.name };
}

document.addEventListener("input", (event) => {
  const element = event.target;
  if (element.type !== "checkbox") element.dataset.dirty = "";
  if ("terms" in element.dataset) suggest(element);
});

document.addEventListener("change", (event) => {
  const element = event.target;
  if (!element.dataset.act || element.tagName === "FORM") return;
  const { id, value } = element;
  // A text that was typed since stays.
  act(element.dataset.act, valuesOf(element), (isTaken) => {
    const field = byId(id);
    if (!field || !("dirty" in field.dataset) || field.value !== value) return;
    if (isTaken) field.dataset.dirty = "sent"; else delete field.dataset.dirty;
  });
});

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const values = Object.fromEntries(new FormData(form));
  const field = form.dataset.field || (form.dataset.act === "choose" ? "path" : "");
  const isDone = await act(form.dataset.act, { ...values, field });
  // What was refused stays as it was typed.
  if (isDone) for (const each of byId("main").querySelectorAll("form [data-dirty]")) delete each.dataset.dirty;
  if (isDone && form.dataset.next) location.assign(form.dataset.next);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[type=button]");
  if (button === null) return;
  const data = button.dataset;
  if (data.copy) {
    await navigator.clipboard.writeText(byId(data.copy).textContent);
    announce("Copied.");
  } else if (data.act) {
    const values = data.path === undefined ? {} : { path: data.path, field: "path" };
    const former = sessionStorage.getItem("done") || "[]";
    if (data.done) {
      values.key = crypto.randomUUID();
      sessionStorage.setItem("done", JSON.stringify([data.done, values.key, location.pathname]));
    }
    const isDone = await act(data.act, values);
    // A second press is refused while the conversion of the first goes on.
    if (data.done && !isDone) sessionStorage.setItem("done", former);
    if (isDone && data.next) location.assign(data.next);
  }
});

async function everythingSent() {
  while (numUnsent) await lastSent;
}

// A link is followed when the server has what was typed before.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[href^='/']");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey);
  if (link === null || !isPlain || link.target || !numUnsent) return;
  event.preventDefault();
  const tooLong = new Promise((resolve) => setTimeout(resolve, LONGEST_PRESS)); // a server that hangs
  await Promise.race([everythingSent(), tooLong]);
  location.assign(link.href);
});

let last = "";
async function suggest(element) {
  const text = element.value.trim();
  if (text.length < 2 || text === last) return;
  last = text;
  const answer = await fetch(`/terms?text=${encodeURIComponent(text)}`);
  if (!answer.ok || text !== last) return;
  const found = await answer.json();
  byId(element.getAttribute("list")).replaceChildren(...found.map(({ term, name }) => {
    const option = document.createElement("option");
    option.value = term;
    option.label = `${term}: ${name}`;
    return option;
  }));
}
