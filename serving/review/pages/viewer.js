// One picture large: the original with its face and its crop, the crop, and what is known of it.

import { reasonName, reasonWhy, say, store, words } from "./store.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SWIPE_PX = 50;

export class Viewer {
  constructor({ grid, turn, onClose }) {
    this.grid = grid;
    this.dialog = $("viewer");
    $("view-close").addEventListener("click", () => this.dialog.close());
    $("view-previous").addEventListener("click", () => turn(-1));
    $("view-next").addEventListener("click", () => turn(1));
    this.dialog.addEventListener("close", onClose);
    const stage = this.dialog.querySelector(".stage");
    let start = null;
    stage.addEventListener("touchstart", (event) => {
      start = event.touches.length === 1 ? event.touches[0] : null;
    }, { passive: true });
    stage.addEventListener("touchend", (event) => {
      const end = event.changedTouches[0];
      const moved = start && end.clientX - start.clientX;
      if (start && Math.abs(moved) > SWIPE_PX
          && Math.abs(moved) > 2 * Math.abs(end.clientY - start.clientY)) turn(moved < 0 ? 1 : -1);
      start = null;
    }, { passive: true });
    this.original = document.querySelector("#view-original img");
    this.original.addEventListener("error", () => {
      const small = store.thumbnail(this.number, { whole: true });
      if (!this.original.src.endsWith(small)) this.original.src = small;
    });
  }

  get isOpen() {
    return this.dialog.open;
  }

  open() {
    if (!this.isOpen) this.dialog.showModal();
    this.show();
  }

  close() {
    this.dialog.close();
  }

  /** Show the picture that has the focus. */
  async show() {
    const slot = this.grid.slots[this.grid.focus];
    if (!slot) return;
    const { number } = slot;
    this.number = number;
    const picture = store.pictures[number];
    this.showDecision();
    const [first, end] = this.grid.sectionRanges[slot.section];
    $("view-place").textContent = `${this.grid.focus - first + 1} / ${end - first}`;
    this.original.src = `/originals/${store.version}/${number}`;
    const crop = document.querySelector("#view-crop img");
    $("view-crop").hidden = !picture.isCrop;
    crop.src = picture.isCrop ? `/crops/${store.version}/${number}` : "data:,";
    $("view-facts").replaceChildren();
    document.querySelector("#view-original svg").replaceChildren();
    this.showCopies(number);
    const next = this.grid.slots[this.grid.focus + 1];
    if (next) new Image().src = `/originals/${store.version}/${next.number}`;
    const details = await store.details(number);
    if (this.number !== number) return;
    this.showFacts(details);
    this.drawBoxes(details);
  }

  showDecision() {
    const number = this.number;
    const picture = store.pictures[number];
    $("view-state").textContent = picture.reason
      ? reasonName(picture.reason)
      : say("used", { domain: words[`domain-${picture.side}`] });
    $("view-why").textContent = picture.reason ? reasonWhy(picture.reason) : "";
    const badge = $("view-decision");
    const decision = store.decisions[number];
    badge.className = `badge-line ${decision}`;
    badge.textContent = [
      decision && say(`decision-${decision}`),
      store.different[number] && say("decision-different"),
    ].filter(Boolean).join(" · ");
    this.dialog.querySelector(".move-label").textContent = this.grid.actionName("move", number);
    for (const button of this.dialog.querySelectorAll(".act[data-action]")) {
      button.setAttribute("aria-pressed", String(button.dataset.action === decision));
    }
  }

  showFacts(details) {
    const facts = [];
    if (details.measure) {
      const [reason, value, limit] = details.measure;
      const figures = say("measured", { reason: reasonName(reason), value, limit });
      facts.push([say(store.pictures[details.number].reason ? "figure" : "nearest"), figures]);
    }
    if (details.sideScore >= 0) facts.push([say("side_score"), details.sideScore.toFixed(2)]);
    if (details.width) facts.push([say("size"), `${details.width} × ${details.height}`]);
    facts.push([say("phrase"), details.phrase]);
    if (details.license) facts.push([say("license"), details.license]);
    if (details.partOf) facts.push([say("part_of"), details.partOf]);
    if (details.duplicateOf) facts.push([say("reason-duplicate-of"), details.duplicateOf]);
    facts.push([say("digits"), details.sha256.slice(0, 16)]);
    const list = $("view-facts");
    list.replaceChildren();
    const add = (name, value) => {
      const term = document.createElement("dt");
      const text = document.createElement("dd");
      term.textContent = name;
      text.append(value);
      list.append(term, text);
    };
    for (const [name, value] of facts) if (value) add(name, value);
    if (details.page) {
      const link = document.createElement("a");
      link.href = details.page; // http or https: the server checked it
      link.rel = "noreferrer noopener";
      link.target = "_blank";
      link.textContent = new URL(details.page).hostname;
      add(say("source"), link);
    }
  }

  /** The face's box and the outline of the crop, over the original. */
  drawBoxes({ width, height, faces, crops }) {
    const svg = document.querySelector("#view-original svg");
    if (!width) return;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const shapes = [
      ...faces.map(([left, top, right, bottom]) =>
        ["face", [left, top, right, top, right, bottom, left, bottom]]),
      ...crops.map((corners) => ["outline", corners]),
    ];
    svg.replaceChildren(...shapes.map(([name, points]) => {
      const shape = document.createElementNS(SVG, "polygon");
      shape.setAttribute("class", name);
      shape.setAttribute("points", points.join(" "));
      return shape;
    }));
  }

  /** The other pictures of the group, side by side. */
  showCopies(number) {
    const holder = $("view-copies");
    const section = store.sections.find(({ key }) => key === "clusters");
    const group = section?.groups.find((numbers) => numbers.includes(number)) ?? [];
    holder.replaceChildren();
    if (group.length < 2) return;
    const title = document.createElement("p");
    title.textContent = say("copies");
    holder.append(title);
    for (const other of group) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = `copy${other === number ? " current" : ""}`
        + `${store.pictures[other].reason ? "" : " used"}`;
      button.title = store.pictures[other].digits;
      const image = document.createElement("img");
      image.alt = store.pictures[other].digits;
      image.src = store.thumbnail(other, { whole: true });
      button.append(image);
      button.addEventListener("click", () => {
        const slot = this.grid.slots.findIndex((each) => each.number === other);
        if (slot >= 0 && this.grid.focusSlot(slot)) this.show();
      });
      holder.append(button);
    }
  }
}
