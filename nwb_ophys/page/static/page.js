// The browser side: sends what fields and buttons say, and shows the state when it changes.
"use strict";

const byId = (id) => document.getElementById(id);
let shown = Number(document.body.dataset.version);
let waiting = false;
let said = "";
let lastJob = null;
let endedSessions = 0;

// --- requests ------------------------------------------------------------------------------------

const LOST = "The page has lost its server; start nwb-ophys gui again.";

async function act(name, values) {
  let answer;
  try {
    answer = await fetch(`/act/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(values),
    });
  } catch {
    announce(LOST); // and the texts stay in their fields
    return false;
  }
  const outcome = answer.headers.get("Content-Type").startsWith("application/json")
    ? await answer.json() : { errors: { "": [await answer.text()] } };
  const errors = Object.values(outcome.errors || {}).flat();
  if (errors.length) announce(`Error: ${errors.join(" ")}`);
  await refresh();
  return errors.length === 0;
}

function announce(text) {
  const place = byId("status");
  if (place.textContent !== text) place.textContent = text;
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
    replace(page.querySelector("main"));
    byId("steps").replaceChildren(...page.getElementById("steps").childNodes);
    shown = version;
  } finally {
    waiting = false;
  }
}

function replace(next) {
  const main = byId("main");
  const focused = document.activeElement && main.contains(document.activeElement)
    ? document.activeElement : null;
  const range = focused && "selectionStart" in focused
    ? [focused.selectionStart, focused.selectionEnd] : null;
  const folds = new Map([...main.querySelectorAll("details[id]")].map((e) => [e.id, e.open]));
  const unsaved = new Map([...main.querySelectorAll("[data-dirty]")].map((e) => [e.id, e.value]));
  const places = [...main.querySelectorAll("datalist")].map((e) => [e.id, [...e.childNodes]]);
  main.replaceChildren(...next.childNodes);
  for (const [id, open] of folds) if (byId(id)) byId(id).open = open || byId(id).open;
  for (const [id, nodes] of places) {
    const list = byId(id);
    if (list && !list.childNodes.length) list.append(...nodes);
  }
  for (const [id, value] of unsaved) {
    const field = byId(id);
    if (field) { field.value = value; field.dataset.dirty = ""; }
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

const events = new EventSource("/events");
events.onmessage = (event) => {
  const state = JSON.parse(event.data);
  const wasBusy = lastJob !== null;
  const isSame = wasBusy && state.job !== null && state.job.stage === lastJob.stage
    && state.ended_sessions === endedSessions;
  endedSessions = state.ended_sessions;
  showJob(state.job, state.ended, state.errors);
  if (state.version !== shown && !isSame) follow(wasBusy && state.job === null);
};
events.onerror = () => announce(LOST);
events.onopen = () => { if (byId("status").textContent === LOST) announce(""); };

// Show the new state; a conversion that this tab started leads to its result.
async function follow(hasEnded) {
  if (waiting) { setTimeout(() => follow(hasEnded), 50); return; }
  await refresh();
  const next = sessionStorage.getItem("done");
  if (hasEnded && next) {
    sessionStorage.removeItem("done");
    const answer = await fetch(next, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.querySelector("#verdict")) location.assign(next);
  }
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
  delete element.dataset.dirty;
  act(element.dataset.act, valuesOf(element));
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
    if (data.done) sessionStorage.setItem("done", data.done);
    const values = data.path === undefined ? {} : { path: data.path, field: "path" };
    const isDone = await act(data.act, values);
    if (!isDone) sessionStorage.removeItem("done");
    if (isDone && data.next) location.assign(data.next);
  }
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
