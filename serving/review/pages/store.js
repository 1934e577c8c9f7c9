// The version, the decisions about its pictures, and the server's answers.

export const words = JSON.parse(document.getElementById("words").textContent);

/** A text of the page with its values, or the key itself where there is none. */
export function say(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const reasonName = (reason) => words[`reason-${reason}`] ?? reason;
export const reasonWhy = (reason) => words[`why-${reason}`] ?? "";

export class Problem extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind; // offline, outdated, unknown-change, malformed or failed
  }
}

const READ_MS = 15_000; // a network that answers no more must not hold up the decisions
const WRITE_MS = 60_000;

async function ask(path, body) {
  const options = body === undefined ? { signal: AbortSignal.timeout(READ_MS) } : {
    signal: AbortSignal.timeout(WRITE_MS),
    method: "POST",
    headers: { "content-type": "application/json", "x-suyan-review": "1" },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem("offline", say("offline"));
  }
  if (response.ok) return response.json();
  const text = await response.text();
  try {
    const { problem, message } = JSON.parse(text);
    throw new Problem(problem, message);
  } catch (error) {
    throw error instanceof Problem ? error : new Problem("failed", text || response.statusText);
  }
}

/** The version under review: its pictures by number, and what people decided about them. */
export const store = {
  version: "",
  revision: "-",
  sections: [],
  pictures: [],
  decisions: [], // by number: keep, drop, move or ""
  different: [], // by number: whether it is said to be no copy of others
  making: { state: "idle" },

  async load() {
    const [content, state] = await Promise.all([ask("/api/version"), ask("/api/state")]);
    const picture = (values) =>
      Object.fromEntries(content.fields.map((field, k) => [field, values[k]]));
    this.version = content.version;
    this.sections = content.sections;
    this.pictures = content.pictures.map(picture);
    this.take(state);
  },

  /** Take the server's state; returns the numbers of the pictures whose decision changed. */
  take(state) {
    this.making = state.making;
    if (state.version !== this.version) throw new Problem("outdated", say("outdated"));
    this.revision = state.revision;
    if (!state.decisions) return [];
    const changed = [];
    for (let number = 0; number < this.pictures.length; number++) {
      const [decision, isDifferent] = state.decisions[number] ?? ["", 0];
      if (this.decisions[number] === decision && this.different[number] === !!isDifferent) continue;
      this.decisions[number] = decision;
      this.different[number] = !!isDifferent;
      changed.push(number);
    }
    return changed;
  },

  async poll() {
    return this.take(await ask(`/api/state?revision=${encodeURIComponent(this.revision)}`));
  },

  /** Write a decision; it is on disk when this returns. */
  async decide(action, numbers) {
    const pictures = numbers.map((number) => [number, this.decisions[number]]);
    return this.apply(await ask("/api/decisions", { version: this.version, action, pictures }));
  },

  async undo(change) {
    return this.apply(await ask("/api/undo", { change }));
  },

  apply(answer) {
    for (const [number, [decision, isDifferent]] of Object.entries(answer.decisions)) {
      this.decisions[number] = decision;
      this.different[number] = !!isDifferent;
    }
    // where somebody else changed the file too, the next poll brings what they decided
    this.revision = answer.before === this.revision ? answer.revision : "-";
    return answer;
  },

  async makeNext() {
    this.take(await ask("/api/next-version", {}));
  },

  details(number) {
    return ask(`/pictures/${this.version}/${number}`);
  },

  /** The address of a small copy: of the crop where there is one, or of the whole original. */
  thumbnail(number, { whole = false } = {}) {
    return `/thumbnails/${this.version}/${number}${whole ? "?whole=1" : ""}`;
  },

  isDecided(number) {
    return this.decisions[number] !== "" || this.different[number];
  },

  /** Decisions that the version does not follow yet, by kind. */
  pending() {
    const counts = { keep: 0, drop: 0, move: 0, different: 0, none: 0 };
    let num = 0;
    this.pictures.forEach((picture, number) => {
      const decision = this.decisions[number];
      if (decision !== picture.decision) {
        counts[decision || "none"]++;
        num++;
      }
      if (this.different[number]) counts.different++;
    });
    return { num, counts };
  },

  /** The side that a picture would move to: A, B, or "" where both sides found it. */
  target(number) {
    const { side, decision } = this.pictures[number];
    if (!side) return "";
    const other = side === "A" ? "B" : "A";
    return decision === "move" ? side : other;
  },
};
