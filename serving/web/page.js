// The page of the server: chooses photographs, sends them as a batch, and shows its rows.
import { acceptDrops } from "./dropped_files.js";
import { createPicker } from "./face_picker.js";

const data = JSON.parse(document.getElementById("data").textContent);
const { words, language, models, maxBytes, maxPhotos, maxBatchBytes, archives, tooLarge } = data;
const api = "../api";
const inLanguage = `?language=${language}`; // messages in the page's words
const pollMs = 600;
const $ = (id) => document.getElementById(id);
const say = (key, values = {}) =>
  words[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

/** Photographs as chosen: {file, name, url, faces}; `faces` is null (as the settings say) or text. */
let photos = [];
let numChosen = 0; // files of one name are told apart by their numbers
/** The batch on the server: {name, info}; null before it is sent and after a change. */
let batch = null;
let sending = null; // the request that sends photographs
let current = null; // the row that is shown: its number in the batch
const unpacked = new Map(); // photographs of archives, on the server: by number {number, name, url, faces}

// --- Settings -------------------------------------------------------------------------------
const model = () => models.find((each) => each.name === $("model").value);
for (const each of models) $("model").add(new Option(each.label, each.name));
$("model-field").hidden = models.length < 2;

const showModel = () => {
  const chosen = model();
  $("drawings").textContent = chosen.note;
  $("drawings").hidden = !chosen.note;
  $("whole").checked = !chosen.faces;
  $("whole-field").hidden = !chosen.faces;
  const former = document.querySelector("#direction input:checked")?.value;
  $("direction").querySelectorAll("label").forEach((label) => label.remove());
  chosen.directions.forEach(({ to, label }, index) => {
    const item = document.createElement("label");
    item.className = "check";
    const input = Object.assign(document.createElement("input"), {
      type: "radio", name: "to", value: to, checked: former ? to === former : index === 0,
    });
    item.append(input, label);
    $("direction").append(item);
  });
  showFacesField();
};
const showFacesField = () => {
  $("faces-field").hidden = $("whole").checked;
  showRows();
};
$("model").addEventListener("change", showModel);
$("whole").addEventListener("change", showFacesField);
const showRange = (input) => (input.nextElementSibling.value = String(Number(input.value)));
$("strength").addEventListener("input", () => showRange($("strength")));
$("settings").addEventListener("submit", (event) => event.preventDefault());

// --- Choosing photographs -------------------------------------------------------------------
const notice = (text) => ($("notice").textContent = text);
const isArchive = (name) => archives.some((suffix) => name.toLowerCase().endsWith(suffix));

const add = (files) => {
  notice("");
  const chosen = [...files].filter((file) => !/(^|\/)\./.test(file.name));
  if (!chosen.length) return;
  if (sending || isAtWork()) return notice(say("at_work"));
  if (batch) forget();
  const num = photos.length + chosen.length;
  for (const file of chosen) {
    if (photos.length >= maxPhotos) {
      notice(say("too_many", { num, limit: maxPhotos }));
      break;
    }
    if (file.size > maxBytes && !isArchive(file.name)) {
      notice(`${file.name}: ${tooLarge.replace("{megabytes}", (file.size / 1e6).toFixed(1))}`);
      continue;
    }
    const name = file.webkitRelativePath || file.relativePath || file.name;
    photos.push({ id: ++numChosen, file, name, url: isArchive(name) ? "" : URL.createObjectURL(file), faces: null });
  }
  showRows();
  if (photos.length === 1 && photos[0].url && !$("whole").checked) picker.open(photos[0], true);
  else picker.close();
};

const removePhotos = (removed) => {
  removed.forEach((photo) => URL.revokeObjectURL(photo.url));
  photos = photos.filter((photo) => !removed.includes(photo));
  forget();
  picker.close();
  showRows();
};

for (const id of ["choose", "choose-folder"])
  $(id).addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
$("clear").addEventListener("click", () => removePhotos([...photos]));
document.querySelectorAll("[data-example]").forEach((button) =>
  button.addEventListener("click", async () => {
    const answer = await fetch(`../examples/${button.dataset.example}`);
    add([new File([await answer.blob()], `example-${button.dataset.example}.jpg`, { type: "image/jpeg" })]);
  }),
);

acceptDrops($("drop"), add);
document.addEventListener("paste", (event) => add(event.clipboardData?.files ?? []));

// --- Faces of a photograph ------------------------------------------------------------------
const picker = createPicker({
  say,
  words,
  find: (photo) => {
    if (photo.number) return fetch(`${api}/batches/${batch.name}/${photo.number}/faces${inLanguage}`);
    const form = new FormData();
    form.append("photo", photo.file, photo.name);
    form.append("model", model().name);
    return fetch(`${api}/faces${inLanguage}`, { method: "POST", body: form });
  },
  onChange: (photo) => {
    if (batch && !isAtWork() && !photo.number) forget(); // its result is of another choice
    showRows();
  },
  onAgain: (photo) => translateAgain(photo),
  onClose: () => showView(),
  onFailure: () => notice(say("connection")),
});

// --- Sending and progress -------------------------------------------------------------------
/** End the batch on the server: nothing of it is kept there. */
const forget = () => {
  sending?.abort();
  sending = null;
  if (batch) fetch(`${api}/batches/${batch.name}`, { method: "DELETE", keepalive: true }).catch(() => {});
  batch = current = null;
  unpacked.clear();
  showStatus();
  showView();
};
addEventListener("pagehide", forget);

const go = async () => {
  notice("");
  if (!photos.length) return notice(say("no_photo"));
  if (photos.some((photo) => photo.faces === "") && !$("whole").checked) return notice(say("no_choice"));
  const size = photos.reduce((sum, photo) => sum + photo.file.size, 0);
  if (size > maxBatchBytes)
    return notice(say("batch_too_large", { megabytes: (size / 1e6).toFixed(0), limit: maxBatchBytes / 1e6 }));
  forget();
  picker.close();
  const form = new FormData();
  const choices = {};
  photos.forEach((photo, index) => {
    form.append("photos", photo.file, photo.name);
    if (photo.faces) choices[`#${index + 1}`] = photo.faces;
  });
  form.append("model", model().name);
  form.append("to", document.querySelector("#direction input:checked").value);
  form.append("strength", $("strength").value);
  if ($("whole").checked) form.append("whole", "true");
  else {
    form.append("faces", $("faces").value);
    form.append("choices", JSON.stringify(choices));
  }
  if ($("mark").checked) form.append("mark", language);
  const request = (sending = new XMLHttpRequest()); // fetch tells no progress of an upload
  request.open("POST", `${api}/batches${inLanguage}`);
  request.responseType = "json";
  request.upload.onprogress = ({ loaded, total }) => showStatus(loaded / total);
  request.onload = () => {
    if (sending === request) sending = null;
    if (request.status !== 202) {
      notice(request.response?.message ?? say("connection"));
      return showStatus();
    }
    // its rows, in the page's language, come with the first answer
    batch = { name: request.response.batch, info: { ...request.response, state: "unpacking", rows: [] } };
    show();
    poll();
  };
  request.onerror = () => {
    sending = null;
    notice(say("connection"));
    showStatus();
  };
  request.send(form);
  showStatus(0);
};
$("go").addEventListener("click", go);
$("cancel").addEventListener("click", () => {
  if (batch) fetch(`${api}/batches/${batch.name}/cancel`, { method: "POST" }).catch(() => {});
  else forget();
});

/** Translate a photograph of an archive again, with the faces chosen. */
const translateAgain = async (photo) => {
  const form = new FormData();
  form.append("faces", photo.faces ?? $("faces").value);
  form.append("strength", $("strength").value);
  try {
    const answer = await fetch(`${api}/batches/${batch.name}/${photo.number}${inLanguage}`, { method: "POST", body: form });
    const info = await answer.json();
    notice(answer.ok ? "" : answer.status === 404 ? say("gone") : info.message);
    if (!answer.ok) return;
    [batch.info.state, current] = [info.state, photo.number]; // its rows come with the next answer
    show();
    poll();
  } catch {
    notice(say("connection"));
  }
};

const isAtWork = () => batch && !["done", "cancelled"].includes(batch.info.state);
const poll = async () => {
  const asked = batch;
  let failures = 0;
  while (batch === asked && isAtWork()) {
    try {
      const answer = await fetch(`${api}/batches/${asked.name}${inLanguage}`);
      if (batch !== asked) return;
      if (answer.status === 404) {
        batch = null;
        notice(say("gone"));
        return show();
      }
      asked.info = await answer.json();
      failures = 0;
    } catch {
      if (++failures === 3) notice(say("connection"));
    }
    show();
    await new Promise((done) => setTimeout(done, isAtWork() ? pollMs : 0));
  }
};

// --- What is shown --------------------------------------------------------------------------
const show = () => {
  const first = batch?.info.rows.find((row) => row.state === "done");
  if (current === null && first) current = first.number;
  showStatus();
  showRows();
  showView();
};

const showStatus = (sent) => {
  const isBusy = Boolean(sending) || Boolean(isAtWork());
  $("go").disabled = isBusy;
  $("cancel").hidden = !isBusy;
  $("status").hidden = !sending && !batch;
  const info = batch?.info;
  $("download-all").hidden = !info?.rows.some((row) => row.state === "done");
  if (info) $("download-all").href = `${api}/batches/${batch.name}/zip`;
  if (sending) {
    $("bar").value = sent ?? 0;
    $("progress").textContent = say("uploading", { percent: Math.round(100 * (sent ?? 0)) });
  } else if (info) {
    const total = info.rows.length;
    const done = info.rows.filter((row) => row.state === "done").length;
    $("bar").value = total ? info.num_done / total : 0;
    const texts = {
      unpacking: say("unpacking"),
      done: say("finished", { done, total }),
      cancelled: say("stopped", { done, total }),
    };
    const progress = say("progress", { done: info.num_done, total });
    const place = info.place ? ` ${say("place", { place: info.place })}` : "";
    $("progress").textContent = texts[info.state] ?? progress + place;
  }
};

const button = (text, label, action) => {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
  return made;
};
const suffixOf = (name) => name.split(".").pop().slice(0, 5).toUpperCase();

/** The rows: those of the server once there are any, else the photographs as chosen. */
const listed = () => {
  const rows = batch?.info.rows ?? [];
  if (!rows.length)
    return photos.map((photo) => ({ key: `chosen ${photo.id}`, name: photo.name, photo, state: "ready" }));
  const own = photos.filter((photo) => !isArchive(photo.name));
  const isPlain = own.length === photos.length;
  return rows.map((row) => ({ ...row, photo: isPlain ? photos[row.number - 1] : null, key: row.number }));
};

/** The photograph of a row of an archive, which is on the server; null for others. */
const inArchive = (row) => {
  const hasFaces = row.state === "done" || ["no-fit-face", "too-slow", "cancelled"].includes(row.kind);
  if (row.photo || !hasFaces || isAtWork()) return null;
  const { number, name } = row;
  if (!unpacked.has(number)) unpacked.set(number, { number, name, url: pictureOf(number, "before"), faces: null });
  return unpacked.get(number);
};

const stateText = (row) => {
  if (row.state === "refused") return row.message;
  if (row.state !== "done") return words[`state_${row.state}`];
  const num = row.num_faces;
  const text = num > 1 ? say("state_faces", { num }) : words[num === 1 ? "state_face" : "state_done"];
  return [text, ...row.notes].join(" · ");
};

const showRows = () => {
  $("list").hidden = !photos.length;
  const rows = listed();
  $("count").textContent = rows.length === 1 ? words.one_photo : say("num_photos", { num: rows.length });
  $("clear").disabled = Boolean(isAtWork());
  const kept = new Map([...$("rows").children].map((item) => [item.dataset.key, item]));
  $("rows").replaceChildren(
    ...rows.map((row) => {
      const faces = (row.photo ?? unpacked.get(row.number))?.faces ?? "";
      const key = `${row.key}|${row.state}|${row.message ?? ""}|${faces}|${row.num_translations}|${row.number === current}|${batch?.name}|${$("whole").checked}|${Boolean(isAtWork())}`;
      return kept.get(key) ?? item(row, key);
    }),
  );
};

const item = (row, key) => {
  const made = document.createElement("li");
  made.dataset.key = key;
  made.className = row.state + (row.number && row.number === current ? " current" : "");
  const source = row.state === "done" ? pictureOf(row.number, "after", row) : row.photo?.url;
  const mark = Object.assign(document.createElement("span"), { textContent: suffixOf(row.name), className: "thumb" });
  made.append(mark);
  if (source) {
    const thumb = Object.assign(document.createElement("img"), { alt: "", loading: "lazy", src: source });
    thumb.onerror = () => thumb.remove(); // of a format that the browser does not show
    mark.append(thumb);
  }
  const texts = document.createElement("div");
  const name = Object.assign(document.createElement("div"), { className: "name", textContent: row.name, title: row.name });
  const state = Object.assign(document.createElement("div"), { className: "state", textContent: stateText(row) });
  if (row.photo?.faces && row.state !== "done") state.textContent += ` · ${words.which_faces} ${row.photo.faces}`;
  if (!source && row.state === "ready" && isArchive(row.name) && !$("whole").checked)
    state.textContent += ` · ${words.archive_faces}`;
  texts.append(name, state);
  const buttons = Object.assign(document.createElement("div"), { className: "buttons" });
  if (row.state === "done")
    buttons.append(
      button(words.result, say("show", { name: row.name }), () => {
        current = row.number;
        picker.close();
        showRows();
        $("view").scrollIntoView({ block: "nearest", behavior: "smooth" });
      }),
    );
  const photo = row.photo?.url ? row.photo : inArchive(row);
  const hasNoFaces = row.state === "refused" && ["unreadable", "too-large", "no-face"].includes(row.kind);
  if (photo && !hasNoFaces && !$("whole").checked && !isAtWork())
    buttons.append(
      button(words.faces_button, say("edit_faces", { name: row.name }), () => {
        picker.open(photo);
        $("view").scrollIntoView({ block: "nearest", behavior: "smooth" });
      }),
    );
  if (row.photo && !isAtWork())
    buttons.append(button("×", say("remove", { name: row.name }), () => removePhotos([row.photo])));
  made.append(texts, buttons);
  return made;
};

const pictureOf = (number, view, row) =>
  `${api}/batches/${batch.name}/${number}/${view}${row ? `?${row.num_translations}` : ""}`;

const showView = () => {
  if (!$("picker").hidden) return;
  const row = batch?.info.rows.find((each) => each.number === current && each.state === "done");
  $("empty").hidden = Boolean(row);
  $("comparison").hidden = !row;
  if (!row) return;
  const shown = `${batch.name}/${row.number}/${row.num_translations}`;
  if ($("comparison").dataset.shown === shown) return;
  $("comparison").dataset.shown = shown;
  $("view-name").textContent = row.name;
  for (const [id, view] of [["before", "before"], ["after", "after"], ["pair-before", "before"], ["pair-after", "after"]])
    $(id).src = pictureOf(row.number, view, row);
  $("view-notes").textContent = row.notes.join("\n");
  $("view-notes").hidden = !row.notes.length;
  $("download").href = pictureOf(row.number, "result");
  $("download").download = row.result.split("/").pop();
};

const split = () => {
  const share = Number($("split").value);
  $("before").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  $("divider").style.left = `calc(${share}% - 1px)`;
};
$("split").addEventListener("input", split);
split();
const choose = (isPair) => {
  $("slider").hidden = isPair;
  $("pair").hidden = !isPair;
  $("as-slider").setAttribute("aria-pressed", String(!isPair));
  $("as-pair").setAttribute("aria-pressed", String(isPair));
};
$("as-slider").addEventListener("click", () => choose(false));
$("as-pair").addEventListener("click", () => choose(true));

showModel();
