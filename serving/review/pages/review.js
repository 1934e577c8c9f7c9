// The page: what clicks and keys do. Every decision is on disk before the next picture is shown.

import { NextVersion, setUpKeys, showStale } from "./dialogs.js";
import { Grid, sectionTexts } from "./grid.js";
import { say, store, words } from "./store.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 4000;
const NOTICE_MS = 4500;
const LONG_PRESS_MS = 450;
const LONG_PRESS_PX = 10;
const scroller = $("scroller");
const isTouch = () => matchMedia("(pointer: coarse)").matches;

let anchor = 0; // where a selection with Shift begins
let selects = false; // whether a tap selects
let queue = Promise.resolve(); // decisions are written one after the other, in the order of the keys
let undoable = []; // changes of this window, the last one last: id and first picture

const grid = new Grid({ onScroll: showPlace });
const viewer = new Viewer({
  grid,
  turn: (step) => move(grid.focus + step),
  onClose: () => scroller.focus(),
});
const nextVersion = new NextVersion({ onProblem: report });

// What is shown

function notify(text, { button = "", onClick = null, lasts = false, isError = false } = {}) {
  const notice = $("notice");
  notice.replaceChildren(text);
  notice.classList.toggle("error", isError);
  if (button) {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = button;
    element.addEventListener("click", onClick);
    notice.append(element);
  }
  // a modal dialogue hides what is outside of it
  (viewer.isOpen ? viewer.dialog : document.body).append(notice);
  notice.hidden = false;
  clearTimeout(notify.timer);
  if (!lasts) notify.timer = setTimeout(() => { notice.hidden = true; }, NOTICE_MS);
}

function report(problem) {
  if (problem.kind === "outdated") {
    notify(say("outdated"), {
      button: say("reload"), onClick: () => location.reload(), lasts: true,
    });
  } else if (problem.kind === "offline") notify(problem.message, { lasts: true, isError: true });
  else if (problem.kind === "unknown-change") notify(say("undo_gone"), { isError: true });
  else notify(say("failed", { message: problem.message }), { lasts: true, isError: true });
}

function showPlace() {
  const current = grid.currentSection();
  for (const button of $("sections").children) {
    const isCurrent = Number(button.dataset.section) === current;
    if (isCurrent && !button.classList.contains("current")) button.scrollIntoView({ block: "nearest" });
    button.classList.toggle("current", isCurrent);
  }
  $("section-menu").value = String(current);
}

/** Numbers of decided pictures beside each section, and of decisions that wait. */
function showCounts() {
  const { num } = store.pending();
  $("pending").textContent = String(num);
  $("pending").hidden = !num;
  store.sections.forEach((section, s) => {
    const numbers = section.groups.flat();
    const decided = numbers.filter((number) => store.isDecided(number)).length;
    const button = $("sections").children[s];
    button.querySelector(".num").textContent = decided ? `${decided} / ${numbers.length}` : numbers.length;
    button.querySelector("progress").value = decided / numbers.length;
  });
}

function showSections() {
  $("sections").replaceChildren(...store.sections.map((section, s) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.section = s;
    const title = document.createElement("span");
    [title.textContent] = sectionTexts(section.key);
    const num = document.createElement("span");
    num.className = "num";
    const bar = document.createElement("progress");
    bar.max = 1;
    button.append(title, num, bar);
    button.addEventListener("click", () => goTo(s));
    return button;
  }));
  $("section-menu").replaceChildren(...store.sections.map((section, s) => {
    const num = section.groups.reduce((sum, group) => sum + group.length, 0);
    return new Option(`${sectionTexts(section.key)[0]} (${num})`, s);
  }));
}

function showSelection() {
  const num = grid.selected.size;
  $("selected").textContent = num ? say("selected", { num }) : "";
  $("clear").hidden = !num;
  $("select").textContent = selects ? say("select_done") : say("select");
  $("select").setAttribute("aria-pressed", String(selects));
  document.body.classList.toggle("selects", selects);
  const slot = grid.slots[grid.focus];
  const sides = new Set(chosenSlots().map((k) => store.target(grid.slots[k].number)));
  const [side] = sides;
  $("actions").querySelector(".move-label").textContent = sides.size === 1 && side
    ? say("move_to", { domain: words[`domain-${side}`] }) : say("move");
  const isGroup = slot && store.sections[slot.section].groups[slot.group].length > 1;
  $("actions").querySelector(".different").disabled = !isGroup;
}

// Focus and selection

const chosenSlots = () =>
  grid.selected.size ? [...grid.selected].sort((a, b) => a - b) : grid.slots.length ? [grid.focus] : [];

function move(slot, { extends: isRange = false } = {}) {
  if (!grid.focusSlot(Math.max(0, Math.min(slot, grid.slots.length - 1)))) return;
  if (isRange) selectRange(anchor, grid.focus);
  else anchor = grid.focus;
  grid.repaint();
  showSelection();
  if (viewer.isOpen) viewer.show();
  remember();
}

function selectRange(from, to) {
  grid.selected.clear();
  for (let slot = Math.min(from, to); slot <= Math.max(from, to); slot++) grid.selected.add(slot);
}

function toggle(slot) {
  if (!grid.selected.delete(slot)) grid.selected.add(slot);
}

function clearSelection() {
  grid.selected.clear();
  grid.repaint();
  showSelection();
}

function goTo(section) {
  if (section < 0 || section >= store.sections.length) return;
  grid.goTo(section);
  anchor = grid.focus;
  clearSelection();
  scroller.focus({ preventScroll: true });
}

const placeKey = () => `suyan-review:${store.version}`;

/** Where the person is, for the next visit; decisions are on the server's disk. */
function remember() {
  const slot = grid.slots[grid.focus];
  if (!slot) return;
  const place = [store.sections[slot.section].key, slot.number];
  try {
    localStorage.setItem(placeKey(), JSON.stringify(place));
  } catch { /* a browser that stores nothing */ }
}

function returnToPlace() {
  try {
    const [key, number] = JSON.parse(localStorage.getItem(placeKey()));
    const slot = grid.slots.findIndex(
      (each) => each.number === number && store.sections[each.section].key === key);
    if (slot > 0) move(slot);
  } catch { /* the first visit */ }
}

// Decisions

/** Write what the keys asked for, one after the other: each applies to the picture then shown. */
function enqueue(work) {
  queue = queue.then(work).catch(report);
  return queue;
}

function decide(action, slots = null) {
  return enqueue(async () => {
    const chosen = slots ?? chosenSlots();
    const numbers = action === "different" && chosen.length === 1
      ? groupOf(chosen[0]) : [...new Set(chosen.map((slot) => grid.slots[slot].number))];
    if (!numbers.length) return;
    if (action === "different" && numbers.length < 2) {
      notify(say("no_group"));
      return;
    }
    await write(action, numbers);
    if (slots) {
      grid.focusSlot(slots[0], { keepsPlace: true });
      showSelection();
      return;
    }
    grid.selected.clear();
    move(lastOf(action, chosen) + 1);
  });
}

/** The last slot that a decision was about: of a whole group the group's last. */
function lastOf(action, chosen) {
  let last = Math.max(...chosen);
  const isSame = (slot) => slot && slot.group === grid.slots[last].group
    && slot.section === grid.slots[last].section;
  while (action === "different" && isSame(grid.slots[last + 1])) last++;
  return last;
}

function groupOf(slot) {
  const { section, group } = grid.slots[slot];
  return store.sections[section].groups[group];
}

async function write(action, numbers) {
  const answer = await store.decide(action, numbers);
  if (answer.change) {
    undoable.push({ change: answer.change, number: numbers[0], section: sectionKey() });
    rememberChanges();
  } else if (!answer.stale.length) notify(say("already"));
  afterChange(Object.keys(answer.decisions));
  if (answer.stale.length) {
    showStale(action, answer.stale, () => enqueue(() => write(action, answer.stale)));
  }
}

const sectionKey = () => store.sections[grid.slots[grid.focus].section].key;

function undo() {
  return enqueue(async () => {
    const last = undoable.pop();
    if (!last) {
      notify(say("undo_none"));
      return;
    }
    rememberChanges();
    const answer = await store.undo(last.change);
    afterChange(Object.keys(answer.decisions));
    if (answer.stale.length) {
      notify(say("undo_stale"), { isError: true });
      return;
    }
    notify(say("undone"));
    const slot = grid.slots.findIndex(
      (each) => each.number === last.number && store.sections[each.section].key === last.section);
    if (slot >= 0) move(slot);
  });
}

/** Changes of this window can be taken back after the page is loaded again. */
function rememberChanges() {
  try {
    sessionStorage.setItem("suyan-review-changes", JSON.stringify(undoable.slice(-500)));
  } catch { /* a browser that stores nothing */ }
}

function afterChange(numbers) {
  grid.repaint(numbers);
  showCounts();
  if (viewer.isOpen) viewer.showDecision();
}

// Clicks, taps and keys

const slotOf = (target) => {
  const tile = target.closest?.(".tile");
  return tile ? Number(tile.dataset.slot) : -1;
};

scroller.addEventListener("click", (event) => {
  if (event.target.closest("[data-make]")) {
    nextVersion.open();
    return;
  }
  const slot = slotOf(event.target);
  if (slot < 0 || pressed.wasLong) return;
  const quick = event.target.closest("[data-quick]");
  if (quick) decide(quick.dataset.quick, [slot]);
  else if (event.shiftKey) {
    grid.focusSlot(slot, { keepsPlace: true });
    selectRange(anchor, slot);
  } else if (selects || event.ctrlKey || event.metaKey) {
    toggle(slot);
    grid.focusSlot(slot, { keepsPlace: true });
    anchor = slot;
  } else {
    grid.selected.clear();
    grid.focusSlot(slot, { keepsPlace: true });
    anchor = slot;
    remember();
    if (isTouch()) viewer.open();
  }
  grid.repaint();
  showSelection();
});

scroller.addEventListener("dblclick", (event) => {
  if (slotOf(event.target) >= 0 && !event.target.closest("[data-quick]")) viewer.open();
});

const pressed = { timer: 0, x: 0, y: 0, wasLong: false };

scroller.addEventListener("pointerdown", (event) => {
  pressed.wasLong = false;
  const slot = slotOf(event.target);
  if (event.pointerType !== "touch" || slot < 0) return;
  Object.assign(pressed, { x: event.clientX, y: event.clientY });
  pressed.timer = setTimeout(() => {
    pressed.wasLong = selects = true;
    toggle(slot);
    grid.focusSlot(slot, { keepsPlace: true });
    showSelection();
  }, LONG_PRESS_MS);
});
for (const kind of ["pointerup", "pointercancel", "scroll"]) {
  scroller.addEventListener(kind, () => clearTimeout(pressed.timer), { passive: true });
}
scroller.addEventListener("pointermove", (event) => {
  const distance = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y);
  if (distance > LONG_PRESS_PX) clearTimeout(pressed.timer);
}, { passive: true });
scroller.addEventListener("contextmenu", (event) => {
  if (pressed.wasLong) event.preventDefault();
});

const ACTIONS = { k: "keep", d: "drop", m: "move", x: "different" };
const STEPS = {
  ArrowLeft: () => grid.focus - 1,
  ArrowRight: () => grid.focus + 1,
  ArrowUp: () => (viewer.isOpen ? grid.focus - 1 : grid.neighbour(grid.focus, -1)),
  ArrowDown: () => (viewer.isOpen ? grid.focus + 1 : grid.neighbour(grid.focus, 1)),
  Home: () => 0,
  End: () => grid.slots.length - 1,
};

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog.sheet[open]")) return;
  if (event.target.closest("select, input[type=text]")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
  if (hasModifier) {
    if (key === "a" && !event.altKey && !viewer.isOpen) selectSection(event);
    return;
  }
  if (key in ACTIONS) decide(ACTIONS[key]);
  else if (key === "u") undo();
  else if (key in STEPS) move(STEPS[key](), { extends: event.shiftKey && !viewer.isOpen });
  else if (key === "Enter" || key === " ") {
    if (event.target.closest("button, a, input") && !event.target.closest(".stage")) return;
    if (viewer.isOpen) viewer.close();
    else viewer.open();
  } else if (key === "Escape" && !viewer.isOpen) {
    selects = false;
    clearSelection();
  } else if (key === "[") goTo(grid.currentSection() - 1);
  else if (key === "]") goTo(grid.currentSection() + 1);
  else if (key === "?") $("keys").showModal();
  else return;
  event.preventDefault();
});

function selectSection(event) {
  event.preventDefault();
  const slot = grid.slots[grid.focus];
  if (!slot) return;
  const [first, end] = grid.sectionRanges[slot.section];
  if (first < end) selectRange(first, end - 1);
  grid.repaint();
  showSelection();
}

for (const button of document.querySelectorAll(".act[data-action]")) {
  button.addEventListener("click", () => decide(button.dataset.action));
}
$("undo").addEventListener("click", undo);
document.querySelector("[data-undo]").addEventListener("click", undo);
$("clear").addEventListener("click", clearSelection);
$("select").addEventListener("click", () => {
  selects = !selects;
  if (!selects) grid.selected.clear();
  grid.repaint();
  showSelection();
});
$("make").addEventListener("click", () => nextVersion.open());
$("section-menu").addEventListener("change", (event) => goTo(Number(event.target.value)));
$("undecided").addEventListener("change", (event) => {
  grid.onlyUndecided = event.target.checked;
  rebuild();
});
for (const button of $("sides").children) {
  button.addEventListener("click", () => {
    grid.side = button.dataset.side;
    for (const each of $("sides").children) {
      each.setAttribute("aria-pressed", String(each === button));
    }
    rebuild();
  });
}

function rebuild() {
  grid.rebuild();
  if (grid.slots.length) grid.focusSlot(grid.focus);
  anchor = grid.focus;
  showSelection();
  showPlace();
}

/** What others decide appears here too. */
async function poll() {
  try {
    if (document.visibilityState === "visible") {
      await enqueue(async () => {
        const changed = await store.poll();
        if (changed.length) afterChange(changed);
      });
    }
  } finally {
    setTimeout(poll, POLL_MS);
  }
}

async function begin() {
  try {
    await store.load();
  } catch (problem) {
    $("loading").hidden = true;
    report(problem);
    return;
  }
  $("version").textContent = store.version;
  try {
    undoable = JSON.parse(sessionStorage.getItem("suyan-review-changes")) ?? [];
  } catch { /* the first visit */ }
  showSections();
  showCounts();
  grid.rebuild();
  returnToPlace();
  showSelection();
  showPlace();
  setUpKeys();
  document.body.classList.add("ready");
  scroller.focus({ preventScroll: true });
  setTimeout(poll, POLL_MS);
}

begin();
