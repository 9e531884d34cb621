"use strict";
// The browser of disagreements. Text from data becomes text of the page by textContent alone; nothing here builds HTML.
(() => {
  const list = document.getElementById("rows");
  const rows = JSON.parse(document.getElementById("data").textContent);
  if (!list || !rows.length) return;

  const STEP = 40; // rows drawn at once
  const id = (name) => document.getElementById(name);
  const search = id("search"), more = id("more"), form = id("controls");
  let found = rows, shown = 0, needle = null;

  function make(tag, name, ...inside) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside.filter((part) => part !== null && part !== ""));
    return element;
  }

  // The text with what was searched for marked.
  function marked(text) {
    const part = document.createDocumentFragment();
    if (!needle) { part.append(text); return part; }
    let end = 0;
    for (const hit of text.matchAll(needle)) {
      part.append(text.slice(end, hit.index), make("mark", "", hit[0]));
      end = hit.index + hit[0].length;
    }
    part.append(text.slice(end));
    return part;
  }

  const several = rows.some((row) => row.by !== rows[0].by);
  const percent = (value) => (value === null || value === undefined ? "–" : (value * 100).toFixed(value > 0.9995 ? 0 : 1) + "\u202f%");
  const haystack = (row) => row.haystack ??= [
    row.id, row.by, row.prompt, ...row.texts.flat(), ...row.votes.flat(), ...Object.entries(row.fields).flat(),
    ...row.answers.map((answer) => answer.text),
  ].join("\n");

  // Choices that the data offers. A choice that would not narrow anything is not shown.
  function offer(name, values) {
    const select = id(name), counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    const kept = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 60);
    const any = new Option("any", "");
    select.replaceChildren(any, ...kept.map(([value, count]) => new Option(`${value.slice(0, 60)} (${count})`, value)));
    select.parentElement.hidden = counts.size < 2;
  }

  const fields = (row) => Object.entries(row.fields).map(([name, value]) => `${name}: ${value}`);
  const tests = {
    by: (row, value) => row.by === value,
    human: (row, value) => row.human === value,
    judge: (row, value) => row.judge === value,
    orders: (row, value) => row.consistent === (value === "same"),
    people: (row, value) => row.split === (value === "split"),
    field: (row, value) => fields(row).includes(value),
  };
  const orders = {
    telling: null,
    sure: (a, b) => (b.confidence ?? -1) - (a.confidence ?? -1),
    unsure: (a, b) => (a.confidence ?? 2) - (b.confidence ?? 2),
    longer: (a, b) => (b.length ?? -99) - (a.length ?? -99),
    shorter: (a, b) => (a.length ?? 99) - (b.length ?? 99),
  };

  let waiting = 0; // the timer of a search that is being typed
  function select() {
    clearTimeout(waiting);
    const words = search.value.trim();
    needle = words ? new RegExp(words.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&"), "gi") : null;
    const asked = Object.entries(tests).filter(([name]) => id(name).value);
    found = rows.filter((row) =>
      asked.every(([name, test]) => test(row, id(name).value)) && (!needle || haystack(row).search(needle) >= 0));
    const order = orders[id("sort").value];
    if (order) found = [...found].sort(order);
    list.replaceChildren();
    shown = 0;
    show();
    id("count").textContent = found.length === rows.length
      ? `${rows.length.toLocaleString("en")} rows`
      : `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  }

  function show() {
    const next = found.slice(shown, shown + STEP);
    list.append(...next.map((row, place) => item(row, shown + place)));
    shown += next.length;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${Math.min(STEP, found.length - shown)} more`;
  }

  function item(row, place) {
    const who = several ? row.by : "judge";
    const verdicts = make("span", "verdicts", "people ", make("b", "", row.human), ` · ${who} `, make("span", "judge", row.judge));
    const sure = make("span", "sure", make("span", "unseen", "confidence "), percent(row.confidence));
    const head = make("button", "row", sure, make("span", "prompt", marked(row.prompt.slice(0, 300) || row.id)), verdicts);
    head.type = "button";
    head.setAttribute("aria-expanded", "false");
    head.addEventListener("click", () => toggle(head, row, place));
    return make("li", "", head);
  }

  function toggle(head, row, place) {
    const open = head.getAttribute("aria-expanded") === "true";
    head.setAttribute("aria-expanded", String(!open));
    if (open) { head.nextElementSibling.remove(); return; }
    const body = detail(row);
    body.id = `detail-${place}`;
    head.setAttribute("aria-controls", body.id);
    head.after(body);
  }

  const block = (text) => { const part = make("p", "text", marked(text)); part.tabIndex = 0; return part; };
  const fact = (name, value) => make("li", "", `${name} `, make("b", "", marked(String(value))));

  function detail(row) {
    const facts = [
      fact("judge", row.by), row.confidence === null ? null : fact("confidence", percent(row.confidence)),
      row.consistent === null ? null : fact("both orders", row.consistent ? "same verdict" : "verdict moved"),
      row.length === null ? null : fact("length, first to second", `×${Math.exp(row.length).toFixed(2)}`),
      ...Object.entries(row.fields).map(([name, value]) => fact(name, value)), fact("id", row.id),
    ];
    const votes = row.votes.map(([who, verdict]) => make("li", "", marked(who), ": ", make("b", "", verdict)));
    const sides = row.texts.map(([name, text]) => make("div", "", make("h4", "", name,
      row.human === name ? make("span", "tag", "people’s choice") : null,
      row.judge === name ? make("span", "tag judge", "judge’s choice") : null), block(text)));
    const answers = row.answers.map((answer) => make("div", "", make("h4", "", `Judge, ${answer.asked}: `,
      answer.verdict || "unreadable", answer.p === null ? null : make("span", "tag", percent(answer.p))), block(answer.text || "(verdict alone, no critique)")));
    return make("div", "detail",
      make("ul", "facts", ...facts),
      make("h4", "", "Prompt"), block(row.prompt),
      make("div", "sides", ...sides),
      votes.length ? make("h4", "", row.split ? "People, who differ" : "People") : null,
      votes.length ? make("ul", "facts", ...votes) : null,
      make("div", "sides", ...answers));
  }

  // j and k walk, Enter (a button's own) opens, / searches, Esc leaves.
  const heads = () => [...list.querySelectorAll(".row")];
  const here = () => document.activeElement.closest?.("#rows > li")?.firstElementChild ?? null;
  function walk(step) {
    let all = heads();
    const at = all.indexOf(here());
    if (at + step >= all.length && !more.hidden) { show(); all = heads(); }
    const next = all[at < 0 ? 0 : Math.min(Math.max(at + step, 0), all.length - 1)];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest", behavior: "instant" });
  }
  function leave() {
    const head = here();
    if (document.activeElement === search) {
      if (search.value) { search.value = ""; select(); } else walk(0);
    } else if (head && head.getAttribute("aria-expanded") === "true") {
      head.click();
      head.focus();
    } else document.activeElement.blur();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") { leave(); return; }
    if (event.target.closest("input, select, textarea")) return;
    const acts = { j: () => walk(1), k: () => walk(-1), "/": () => { search.focus(); search.select(); } };
    if (Object.hasOwn(acts, event.key)) { event.preventDefault(); acts[event.key](); }
  });

  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(select, 120); });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); select(); walk(1); } });
  form.addEventListener("change", (event) => { if (event.target !== search) select(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(select));
  more.addEventListener("click", () => { const at = shown; show(); heads()[at]?.focus(); });

  offer("by", rows.map((row) => row.by));
  offer("human", rows.map((row) => row.human));
  offer("judge", rows.map((row) => row.judge));
  offer("field", rows.flatMap(fields));
  id("orders").parentElement.hidden = rows.every((row) => row.consistent === null);
  id("people").parentElement.hidden = rows.every((row) => row.split === rows[0].split);
  const drop = (...names) => names.forEach((name) => form.querySelector(`option[value=${name}]`).remove());
  if (rows.every((row) => row.length === null)) drop("longer", "shorter");
  if (rows.every((row) => row.confidence === null)) { drop("sure", "unsure"); list.className = "unstated"; }
  form.hidden = id("keys").hidden = false;
  select();
})();
