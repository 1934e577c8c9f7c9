// The dialogues: the next version, decisions of somebody else, and the keys.

import { say, store } from "./store.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 700;

/** The making of the next version, with its progress. */
export class NextVersion {
  constructor({ onProblem }) {
    this.dialog = $("next-version");
    this.onProblem = onProblem;
    this.isMine = false; // whether this window started the last making
    $("next-cancel").addEventListener("click", () => this.dialog.close());
    $("next-start").addEventListener("click", () => this.start());
    $("next-open").addEventListener("click", () => location.reload());
  }

  open() {
    if (store.making.state === "running") this.follow();
    else this.isMine = false;
    this.show();
    if (!this.dialog.open) this.dialog.showModal();
  }

  async start() {
    this.isMine = true;
    try {
      await store.makeNext();
    } catch (problem) {
      this.onProblem(problem);
    }
    this.show();
    this.follow();
  }

  /** Ask how far it is until it is done; the answer may come after the version has changed. */
  follow() {
    if (this.timer) return;
    this.timer = setInterval(async () => {
      try {
        await store.poll();
      } catch (problem) {
        if (problem.kind !== "outdated") this.onProblem(problem);
      }
      if (store.making.state !== "running") {
        clearInterval(this.timer);
        this.timer = 0;
      }
      this.show();
    }, POLL_MS);
  }

  show() {
    const { state, stage, num_done: done, num_total: total, version, is_new: isNew, error } =
      store.making;
    const { counts } = store.pending();
    const isRunning = state === "running";
    const isMade = state === "done" && version !== store.version;
    $("next-counts").textContent = Object.entries(counts)
      .filter(([, num]) => num)
      .map(([kind, num]) => say(`count_${kind}`, { num }))
      .join(" · ") || say("end_none");
    $("next-counts").hidden = isRunning || isMade;
    $("next-intro").hidden = isRunning || isMade;
    const key = { "prepare": "prepare", "prepare: duplicates": "duplicates" }[stage]
      ?? (/crop/.test(stage ?? "") ? "crops" : "other");
    $("next-stage").textContent =
      isRunning ? `${say("making")}${say("colon")}${say(`stage-${key}`)}${total > 1 ? ` ${done} / ${total}` : " …"}`
      : isMade ? say("made", { version })
      : state === "done" && !isNew && this.isMine ? say("made_same")
      : state === "failed" ? say("make_failed") : "";
    const bar = $("next-progress");
    bar.hidden = !isRunning;
    if (isRunning && total > 1) {
      bar.max = total;
      bar.value = done;
    } else bar.removeAttribute("value");
    $("next-error").hidden = state !== "failed";
    $("next-error").textContent = error ?? "";
    $("next-start").hidden = isRunning || isMade;
    $("next-open").hidden = !isMade;
  }
}

/** Decisions about which somebody else was faster: theirs are shown, and nothing is lost. */
export function showStale(action, numbers, onMine) {
  const dialog = $("stale");
  $("stale-text").textContent = say("stale_text", { action: say(action) });
  $("stale-list").replaceChildren(...numbers.map((number) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.alt = "";
    image.src = store.thumbnail(number);
    const decision = store.decisions[number];
    item.append(image, decision ? say(decision) : say("no_decision"));
    return item;
  }));
  $("stale-theirs").onclick = () => dialog.close();
  $("stale-mine").onclick = () => {
    dialog.close();
    onMine();
  };
  dialog.showModal();
}

export function setUpKeys() {
  const dialog = $("keys");
  $("help").addEventListener("click", () => dialog.showModal());
  $("keys-close").addEventListener("click", () => dialog.close());
}
