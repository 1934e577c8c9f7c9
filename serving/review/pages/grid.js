// The sections as one long list of tiles, of which only those on the screen are in the page.

import { reasonName, reasonWhy, say, store, words } from "./store.js";

const GAP = 12; // between tiles, px
const CAPTION = 24; // below a picture, px
const HEAD = 74; // of a section, px
const NARROW_HEAD = 104;
const END = 150;
const EMPTY = 44;
const OVERSCAN = 600; // rows beyond the screen that are in the page, px
const FAST = 900; // px between two frames: pictures are asked for when the scrolling slows down
const SETTLED_MS = 70;

const scroller = document.getElementById("scroller");
const canvas = document.getElementById("canvas");

/** A title, an explanation, and the reason, of a section. */
export function sectionTexts(key) {
  if (key.startsWith("rejected:")) {
    const reason = key.slice("rejected:".length);
    return [reasonName(reason), reasonWhy(reason)];
  }
  if (key.startsWith("used-")) {
    return [say("used", { domain: words[`domain-${key.at(-1)}`] }), say("used_why")];
  }
  return [say(key), say(`${key}_why`)];
}

function captionOf(key, text) {
  return say(key === "side" ? "likelihood" : "similarity", { value: text });
}

export class Grid {
  constructor({ onScroll }) {
    this.slots = []; // pictures in the order of the page: number, section, group, row, column
    this.rows = [];
    this.headTops = [];
    this.drawn = new Map(); // number of a row → its element
    this.side = "";
    this.onlyUndecided = false;
    this.focus = 0;
    this.selected = new Set();
    this.onScroll = onScroll;
    this.lastTop = 0;
    scroller.addEventListener("scroll", () => this.schedule(), { passive: true });
    new ResizeObserver(() => this.resize()).observe(scroller);
  }

  /** Choose the pictures to show, and lay them out anew. */
  rebuild() {
    const here = this.slots[this.focus];
    this.slots = [];
    this.sectionRanges = store.sections.map((section, s) => {
      const first = this.slots.length;
      section.groups.forEach((group, g) => {
        if (!group.some((number) => this.isOnSide(number))) return;
        if (this.onlyUndecided && group.some((number) => store.isDecided(number))) return;
        for (const number of group) this.slots.push({ number, section: s, group: g });
      });
      return [first, this.slots.length];
    });
    this.selected.clear();
    this.layout();
    const again = here && this.slots.findIndex(
      (slot) => slot.section >= here.section && slot.number === here.number);
    this.focus = again > 0 ? again : Math.min(this.focus, Math.max(this.slots.length - 1, 0));
    this.draw(true);
  }

  isOnSide(number) {
    const { side } = store.pictures[number];
    return !this.side || !side || side === this.side;
  }

  /** The place of every row: a heading for each section, rows of tiles, and the end. */
  layout() {
    const style = getComputedStyle(canvas);
    const width = canvas.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const isNarrow = width < 560;
    const least = isNarrow ? 100 : 148;
    this.head = isNarrow ? NARROW_HEAD : HEAD;
    this.columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
    this.tile = Math.floor((width - GAP * (this.columns - 1)) / this.columns);
    this.rowHeight = this.tile + CAPTION + GAP;
    this.rows = [];
    this.headTops = [];
    let top = 0;
    store.sections.forEach((section, s) => {
      const [first, end] = this.sectionRanges[s];
      this.headTops.push(top);
      this.rows.push({ kind: "head", section: s, top, height: this.head });
      top += this.head;
      if (first === end) {
        this.rows.push({ kind: "empty", section: s, top, height: EMPTY });
        top += EMPTY;
      }
      for (let k = first; k < end;) {
        const row = { kind: "tiles", section: s, top, height: this.rowHeight, cells: [], frames: [] };
        k = this.fill(row, k, end);
        this.rows.push(row);
        top += this.rowHeight;
      }
    });
    this.rows.push({ kind: "end", top, height: END });
    canvas.style.height = `${top + END}px`;
  }

  /** Put slots into a row, whole groups as far as they fit; returns the next slot. */
  fill(row, k, end) {
    let column = 0;
    while (k < end && column < this.columns) {
      let after = k + 1;
      const isSame = (j) => j >= 0 && j < end && this.slots[j].group === this.slots[k].group
        && this.slots[j].section === this.slots[k].section;
      while (isSame(after)) after++;
      const span = Math.min(after - k, this.columns - column);
      const { groups } = store.sections[row.section];
      const isGroup = groups[this.slots[k].group].length > 1;
      if (after - k > this.columns - column && column > 0) break;
      if (isGroup) {
        row.frames.push({ column, span, slot: k, begins: !isSame(k - 1), ends: k + span >= after });
      }
      for (let j = 0; j < span; j++, k++, column++) {
        Object.assign(this.slots[k], { row: this.rows.length, column });
        row.cells.push(k);
      }
    }
    return k;
  }

  resize() {
    if (!store.pictures.length || !this.sectionRanges) return;
    const anchor = this.rowAt(scroller.scrollTop);
    const slot = this.rows[anchor]?.cells?.[0];
    this.layout();
    if (slot !== undefined) scroller.scrollTop = this.rows[this.slots[slot].row].top;
    this.draw(true);
  }

  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
      this.onScroll();
    });
  }

  rowAt(top) {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.rows[middle].top <= top) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Draw the rows near the screen, and remove the others. */
  draw(anew = false) {
    if (anew) {
      canvas.replaceChildren();
      this.drawn.clear();
    }
    const top = scroller.scrollTop;
    const first = this.rowAt(Math.max(0, top - OVERSCAN));
    const last = this.rowAt(top + scroller.clientHeight + OVERSCAN);
    for (const [number, element] of this.drawn) {
      if (number < first || number > last) {
        element.remove();
        this.drawn.delete(number);
      }
    }
    for (let number = first; number <= last; number++) {
      if (this.drawn.has(number)) continue;
      const element = this.rowElement(this.rows[number]);
      this.drawn.set(number, element);
      canvas.append(element);
    }
    const speed = Math.abs(top - this.lastTop);
    this.lastTop = top;
    clearTimeout(this.settling);
    if (speed < FAST) this.loadPictures();
    else this.settling = setTimeout(() => this.loadPictures(), SETTLED_MS);
  }

  loadPictures() {
    for (const image of canvas.querySelectorAll("img[data-src]")) {
      image.src = image.dataset.src;
      image.removeAttribute("data-src");
    }
  }

  rowElement(row) {
    const element = document.createElement("div");
    element.className = `row ${row.kind}`;
    element.style.transform = `translateY(${row.top}px)`;
    element.style.height = `${row.height}px`;
    if (row.kind === "head") this.fillHead(element, row);
    else if (row.kind === "empty") element.textContent = say("nothing");
    else if (row.kind === "end") {
      const template = document.createElement("div");
      template.className = "end-card";
      element.append(template);
      this.fillEnd(template);
    } else {
      for (const frame of row.frames) element.append(this.frameElement(frame));
      for (const slot of row.cells) element.append(this.tileElement(slot));
    }
    return element;
  }

  fillHead(element, row) {
    const [title, why] = sectionTexts(store.sections[row.section].key);
    const [first, end] = this.sectionRanges[row.section];
    const heading = document.createElement("h2");
    const count = document.createElement("span");
    count.textContent = String(end - first);
    heading.append(title, " ", count);
    const text = document.createElement("p");
    text.textContent = why;
    element.append(heading, text);
  }

  fillEnd(card) {
    const { num } = store.pending();
    const text = document.createElement("p");
    text.textContent = `${say("end")} ${num ? say("end_some", { num }) : say("end_none")}`;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "primary";
    button.dataset.make = "";
    button.textContent = say("make");
    card.replaceChildren(text, button);
  }

  refreshEnd() {
    const card = canvas.querySelector(".end-card");
    if (card) this.fillEnd(card);
  }

  left(column) {
    return column * (this.tile + GAP);
  }

  frameElement(frame) {
    const element = document.createElement("div");
    element.className = `group${frame.begins ? " begins" : ""}${frame.ends ? " ends" : ""}`;
    element.style.left = `${this.left(frame.column) - 5}px`;
    element.style.width = `${frame.span * (this.tile + GAP) - GAP + 10}px`;
    return element;
  }

  tileElement(slot) {
    const { number, column, section, group } = this.slots[slot];
    const picture = store.pictures[number];
    const { key, captions, groups } = store.sections[section];
    const tile = document.createElement("div");
    tile.id = `slot-${slot}`;
    tile.dataset.slot = slot;
    tile.dataset.number = number;
    tile.setAttribute("role", "option");
    tile.style.left = `${this.left(column)}px`;
    tile.style.width = `${this.tile}px`;
    const box = document.createElement("div");
    box.className = "picture";
    box.style.height = `${this.tile}px`;
    const image = document.createElement("img");
    image.alt = "";
    image.decoding = "async";
    image.draggable = false;
    image.dataset.src = store.thumbnail(number, { whole: this.isGroup(slot) });
    image.addEventListener("load", () => tile.classList.add("loaded"), { once: true });
    const mark = document.createElement("span");
    mark.className = "mark";
    const tick = document.createElement("span");
    tick.className = "tick";
    const quick = document.createElement("div");
    quick.className = "quick";
    for (const [action, sign] of [["keep", "✓"], ["drop", "✕"], ["move", "⇄"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = -1;
      button.dataset.quick = action;
      button.className = action;
      button.title = this.actionName(action, number);
      button.setAttribute("aria-label", button.title);
      button.textContent = sign;
      quick.append(button);
    }
    box.append(image, mark, tick, quick);
    const line = document.createElement("div");
    line.className = "caption";
    const domain = document.createElement("b");
    domain.textContent = picture.side ? words[`domain-${picture.side}`] : "A · B";
    const note = document.createElement("span");
    const isFirst = groups[group][0] === number;
    const caption = captions[group] ?? "";
    note.textContent = caption && isFirst ? (this.tile < 140 ? caption : captionOf(key, caption))
      : picture.faces > 1 ? say("faces_of", { num: picture.faces }) : picture.measure;
    line.append(domain, " ", note);
    tile.append(box, line);
    this.paint(tile, slot);
    return tile;
  }

  /** Whether a picture stands beside its copies: then all of them are shown whole. */
  isGroup(slot) {
    const { section, group } = this.slots[slot];
    return store.sections[section].groups[group].length > 1;
  }

  actionName(action, number) {
    const side = action === "move" && store.target(number);
    return side ? say("move_to", { domain: words[`domain-${side}`] }) : say(action);
  }

  /** Show decision, focus and selection of a tile. */
  paint(tile, slot) {
    const { number } = this.slots[slot];
    const picture = store.pictures[number];
    const decision = store.decisions[number];
    const classes = ["tile", picture.reason ? "unused" : "used"];
    if (picture.isCrop && !this.isGroup(slot)) classes.push("crop");
    if (decision) classes.push(decision);
    if (decision && decision === picture.decision) classes.push("earlier");
    if (store.different[number]) classes.push("different");
    if (this.selected.has(slot)) classes.push("selected");
    if (slot === this.focus) classes.push("focused");
    if (tile.classList.contains("loaded")) classes.push("loaded");
    tile.className = classes.join(" ");
    tile.setAttribute("aria-selected", String(this.selected.has(slot)));
    const signs = { keep: "✓", drop: "✕", move: "⇄" };
    tile.querySelector(".mark").textContent =
      (signs[decision] ?? "") + (store.different[number] ? "≠" : "");
    const state = picture.reason ? reasonName(picture.reason) : say("used", {
      domain: words[`domain-${picture.side}`],
    });
    const decided = decision ? `, ${say(`decision-${decision}`)}` : "";
    tile.setAttribute("aria-label", `${slot + 1}: ${state}${decided}`);
  }

  repaint(numbers = null) {
    const wanted = numbers && new Set(numbers.map(Number));
    for (const tile of canvas.querySelectorAll(".tile")) {
      if (!wanted || wanted.has(Number(tile.dataset.number))) {
        this.paint(tile, Number(tile.dataset.slot));
      }
    }
    this.refreshEnd();
  }

  /** Move the focus to a slot, and scroll so that it is on the screen. */
  focusSlot(slot, { keepsPlace = false } = {}) {
    if (slot < 0 || slot >= this.slots.length) return false;
    this.focus = slot;
    const row = this.rows[this.slots[slot].row];
    if (!keepsPlace) {
      const top = scroller.scrollTop;
      const isFirstRow = this.rows[this.slots[slot].row - 1]?.kind === "head";
      const upper = row.top - (isFirstRow ? this.head : 10);
      const lower = row.top + row.height + 10 - scroller.clientHeight;
      if (upper < top) scroller.scrollTop = upper;
      else if (lower > top) scroller.scrollTop = lower;
      this.draw();
    }
    this.repaint();
    scroller.setAttribute("aria-activedescendant", `slot-${slot}`);
    return true;
  }

  /** The slot in the next row (``direction`` 1) or the former one (-1), nearest to the column. */
  neighbour(slot, direction) {
    const { row, column } = this.slots[slot];
    for (let k = row + direction; k >= 0 && k < this.rows.length; k += direction) {
      const { cells } = this.rows[k];
      if (cells) return cells[Math.min(column, cells.length - 1)];
    }
    return slot;
  }

  goTo(section) {
    const [first, end] = this.sectionRanges[section];
    scroller.scrollTop = this.headTops[section];
    this.draw();
    if (first < end) this.focusSlot(first, { keepsPlace: true });
    this.onScroll();
  }

  /** The section at the top of the screen. */
  currentSection() {
    const row = this.rows[this.rowAt(scroller.scrollTop + this.head / 2)];
    return row?.section ?? store.sections.length - 1;
  }
}
