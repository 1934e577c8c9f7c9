// The choice of a photograph's faces: numbered boxes on it, and a strength for each.

const $ = (id) => document.getElementById(id);

/**
 * The part of the page that offers faces.
 *
 * `say(key, values)`: the page's words; `words`: those without values; `find(photo)`: an answer with
 * its faces; `onChange(photo)`: its choice, `photo.faces`, has changed; `onAgain(photo)`: translate
 * one that is on the server (`photo.number`) with its choice; `onClose()`; `onFailure()`.
 */
export const createPicker = ({ say, words, find, onChange, onAgain, onClose, onFailure }) => {
  let picked = null; // {photo, faces: [{number, box, fit, chosen, strength, update}]}
  let asks = 0; // counts questions, so that a late answer is dropped

  const close = () => {
    asks += 1;
    picked = null;
    $("picker").hidden = true;
    onClose();
  };

  /** Offer the faces of a photograph; `quiet`: only if there is something to choose. */
  const open = async (photo, quiet = false) => {
    const ask = ++asks;
    picked = null;
    if (!quiet) show(photo, say("looking"));
    let faces, size;
    try {
      const answer = await find(photo);
      const body = await answer.json();
      if (ask !== asks) return;
      if (!answer.ok)
        return quiet ? undefined : show(photo, answer.status === 404 ? say("gone") : body.message);
      faces = body.faces ?? body;
      size = body.faces ? body : null; // of the photograph, whose picture here may be smaller
    } catch {
      return ask === asks ? onFailure() : undefined;
    }
    if (quiet && (faces.length === 0 || (faces.length === 1 && faces[0].fit))) return;
    if (!faces.length) return show(photo, say("no_faces_found", { whole: words.whole }));
    const former = new Map((photo.faces ?? "").split(",").filter(Boolean).map((part) => part.split(":")));
    picked = {
      photo,
      size,
      faces: faces.map((face) => ({
        ...face,
        chosen: photo.faces ? former.has(String(face.number)) : face.fit,
        strength: former.get(String(face.number)) ?? null,
      })),
    };
    show(photo, say("faces_hint"));
    $("picker-faces").replaceChildren(...picked.faces.map(line));
    const image = $("picker-image");
    image.onload = () => picked && $("boxes").replaceChildren(...picked.faces.map((face) => box(face, image)));
    if (image.complete && image.naturalWidth) image.onload();
  };

  const show = (photo, hint) => {
    $("empty").hidden = $("comparison").hidden = true;
    $("picker").hidden = false;
    $("picker-name").textContent = say("edit_faces", { name: photo.name });
    $("picker-hint").textContent = hint;
    $("picker-image").onload = null;
    $("picker-image").src = photo.url;
    $("picker-faces").replaceChildren();
    $("boxes").replaceChildren();
    $("picker-reset").hidden = !picked || Boolean(photo.number); // its choice starts from all
    $("picker-again").hidden = !picked || !photo.number;
    $("picker-again").disabled = false;
  };

  /** The box around a face, within its picture, which a click chooses. */
  const box = (face, image) => {
    const made = document.createElement("div");
    const { width, height } = picked.size ?? { width: image.naturalWidth, height: image.naturalHeight };
    const [left, top, right, bottom] = face.box.map((value, axis) =>
      Math.min(1, Math.max(0, value / (axis % 2 ? height : width))),
    );
    const percent = (share) => `${100 * share}%`;
    made.style.left = percent(left);
    made.style.top = percent(top);
    made.style.width = percent(right - left);
    made.style.height = percent(bottom - top);
    made.classList.toggle("at-top", top < 0.05); // its number stands inside
    const number = Object.assign(document.createElement("span"), { textContent: face.number });
    made.append(number);
    made.addEventListener("click", () => choose(face, !face.chosen));
    face.showBox = () => made.classList.toggle("off", !face.chosen);
    face.showBox();
    return made;
  };

  /** The line of a face: whether it is translated, and how many times the change it gets. */
  const line = (face) => {
    const made = document.createElement("li");
    const label = document.createElement("label");
    label.className = "check";
    const check = Object.assign(document.createElement("input"), { type: "checkbox" });
    check.addEventListener("change", () => choose(face, check.checked));
    label.append(check, say("face", { number: face.number }) + (face.fit ? "" : words.face_unfit));
    const range = Object.assign(document.createElement("span"), { className: "range" });
    const input = Object.assign(document.createElement("input"), {
      type: "range", min: 0, max: $("strength").max, step: 0.05, value: face.strength ?? $("strength").value,
    });
    input.setAttribute("aria-label", say("face_strength", { number: face.number }));
    const output = Object.assign(document.createElement("output"), { value: Number(input.value) });
    input.addEventListener("input", () => {
      output.value = Number(input.value);
      face.strength = input.value;
      store();
    });
    range.append(input, output);
    face.showLine = () => {
      check.checked = face.chosen;
      input.disabled = !face.chosen;
    };
    face.showLine();
    made.append(label, range);
    return made;
  };

  const choose = (face, isChosen) => {
    face.chosen = isChosen;
    face.showLine();
    face.showBox?.();
    store();
  };

  /** Keep the choice in the photograph, as the field `faces` takes it. */
  const store = () => {
    const chosen = picked.faces.filter((face) => face.chosen);
    picked.photo.faces = chosen
      .map((face) => (face.strength === null ? face.number : `${face.number}:${Number(face.strength)}`))
      .join(",");
    $("picker-hint").textContent = chosen.length ? say("faces_hint") : say("no_choice");
    $("picker-again").disabled = !chosen.length;
    onChange(picked.photo);
  };

  $("picker-close").addEventListener("click", close);
  $("picker-reset").addEventListener("click", () => {
    const { photo } = picked;
    photo.faces = null;
    close();
    onChange(photo);
  });
  $("picker-again").addEventListener("click", () => {
    const { photo } = picked;
    close();
    onAgain(photo);
  });

  return { open, close };
};
