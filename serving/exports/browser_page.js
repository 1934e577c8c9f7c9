// The exported page (--as browser). Everything it needs is in blocks of base64 above.
/** A PNG with the label that a model edited the picture: an XMP packet, after the first chunk. */
const labelledPng = (png, label) => {
  const id = [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0"));
  const encoder = new TextEncoder();
  const text = encoder.encode(label.replace("PRODUCE_ID", id.join("")));
  const head = encoder.encode("iTXtXML:com.adobe.xmp\0\0\0\0\0");
  const body = new Uint8Array(head.length + text.length);
  body.set(head);
  body.set(text, head.length);
  let crc = ~0;
  for (const byte of body) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  const number = (value) => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
  const first = 33; // bytes of the signature and the chunk IHDR
  const parts = [png.slice(0, first), number(body.length - 4), body, number(~crc), png.slice(first)];
  return new Blob(parts, { type: "image/png" });
};

(async () => {
  "use strict";
  const WORDS = {
    en: {
      photo: "Photograph", direction: "Direction", strength: "Strength", go: "Translate",
      result: "Result", save: "Save", other: "中文", loading: "Loading the network …",
      ready: "Choose a photograph.", working: "Translating …", large:
      "The photograph is larger than 50 megapixels: make it smaller first.",
      unreadable: "This file cannot be read as a picture.", failed: "It failed: ",
      privacy: "The photograph stays in this browser: nothing is sent anywhere.",
      eyes: "Click both eyes: the model was trained on aligned faces. Without them the whole "
        + "picture is translated.",
      again: "Both eyes are marked. Click again to mark others.",
      done: (seconds) => `Done in ${seconds} s.`,
      drawings: "This model was trained on drawings: expect wrong colours on photographs.",
    },
    zh: {
      photo: "照片", direction: "方向", strength: "强度", go: "转换", result: "结果", save: "保存",
      other: "English", loading: "正在载入网络……", ready: "请选择一张照片。", working: "正在转换……",
      large: "照片超过 5000 万像素，请先缩小。", unreadable: "这个文件无法作为图片读取。",
      failed: "失败：", privacy: "照片只留在这个浏览器里，不会发送到任何地方。",
      eyes: "请点一下两只眼睛：模型是用对齐的人脸训练的。不点则转换整张图片。",
      again: "双眼已标出。再点一次可以重新标。", done: (seconds) => `完成，用时 ${seconds} 秒。`,
      drawings: "这个模型是用绘制的图片训练的，用在照片上颜色会失真。",
    },
  };
  const MAX_PIXELS = 50e6;
  const element = (id) => document.getElementById(id);
  const bytes = (name) => {
    const block = element(`part-${name}`);
    const text = atob(block.textContent);
    const result = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k++) result[k] = text.charCodeAt(k);
    return result;
  };
  const settings = JSON.parse(new TextDecoder().decode(bytes("settings")));
  let language = navigator.language.startsWith("zh") ? "zh" : "en";
  let photo = null; // its canvas, at full size
  let eyes = [];
  let statusOf = (words) => words.loading;
  let sessions = {};
  let ort = null;

  const show = () => {
    const words = WORDS[language];
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    for (const each of document.querySelectorAll("[data-word]")) {
      each.textContent = words[each.dataset.word];
    }
    element("language").textContent = words.other;
    const chosen = element("direction").value || 0;
    element("direction").replaceChildren(...settings.directions.map((way, k) => {
      const label = language === "zh" ? `${way.from_zh} → ${way.to_zh}` : `${way.from} → ${way.to}`;
      return new Option(label, k, false, k == chosen);
    }));
    element("hint").textContent =
      settings.faces && photo ? (eyes.length === 2 ? words.again : words.eyes) : "";
    const drawn = settings.trained_on === "drawings" ? ` ${words.drawings}` : "";
    element("status").textContent = statusOf(words) + drawn;
  };
  const say = (sentence) => { statusOf = sentence; show(); };
  const canvasOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
  const contextOf = (canvas) => canvas.getContext("2d", { willReadFrequently: true });

  const load = async () => {
    const code = new Blob([bytes("script")], { type: "text/javascript" });
    ort = await import(URL.createObjectURL(code));
    ort.env.wasm.wasmBinary = bytes("program").buffer;
    ort.env.wasm.numThreads = 1; // more need headers that a file has not
  };
  const network = async (way) => {
    const { file } = settings.directions[way];
    sessions[file] ??= await ort.InferenceSession.create(bytes(file), { executionProviders: ["wasm"] });
    return sessions[file];
  };

  // Pixels [H, W, 4] of a canvas → the network's change of them, [3][H * W] grey levels.
  const changeOf = async (canvas, way) => {
    const { width, height } = canvas;
    const pixels = contextOf(canvas).getImageData(0, 0, width, height).data;
    const fit = (side) => Math.max(settings.least_px, Math.ceil(side / settings.multiple) * settings.multiple);
    const [columns, rows] = [fit(width), fit(height)];
    const mirrored = (place, side) => {
      const period = place % (2 * side);
      return period < side ? period : 2 * side - 1 - period;
    };
    const input = new Float32Array(3 * rows * columns);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const from = 4 * (mirrored(y, height) * width + mirrored(x, width));
        for (let c = 0; c < 3; c++) {
          input[(c * rows + y) * columns + x] = pixels[from + c] / 127.5 - 1;
        }
      }
    }
    const image = new ort.Tensor("float32", input, [1, 3, rows, columns]);
    const output = (await (await network(way)).run({ image })).translation.data;
    return [0, 1, 2].map((c) => {
      const plane = new Float32Array(width * height);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const level = (output[(c * rows + y) * columns + x] + 1) * 127.5;
          plane[y * width + x] = level - pixels[4 * (y * width + x) + c];
        }
      }
      return plane;
    });
  };

  const sample = (plane, width, height, x, y) => { // bilinear; pixel centres at half-integers
    const left = Math.floor(x - 0.5), top = Math.floor(y - 0.5);
    const [u, v] = [x - 0.5 - left, y - 0.5 - top];
    const at = (column, row) => plane[
      Math.min(Math.max(row, 0), height - 1) * width + Math.min(Math.max(column, 0), width - 1)
    ];
    return (1 - v) * ((1 - u) * at(left, top) + u * at(left + 1, top))
      + v * ((1 - u) * at(left, top + 1) + u * at(left + 1, top + 1));
  };

  // Adds a change of `width` × `height` px to the photograph; `place` leads from its pixels there.
  const addChange = (change, width, height, place, box, strength) => {
    const [left, top, right, bottom] = box;
    const context = contextOf(photo);
    const result = canvasOf(photo.width, photo.height);
    contextOf(result).drawImage(photo, 0, 0);
    if (right <= left || bottom <= top) return result;
    const part = context.getImageData(left, top, right - left, bottom - top);
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const [column, row] = place(x + 0.5, y + 0.5);
        if (column < 0 || row < 0 || column > width || row > height) continue;
        const to = 4 * ((y - top) * (right - left) + x - left);
        for (let c = 0; c < 3; c++) {
          part.data[to + c] += Math.round(strength * sample(change[c], width, height, column, row));
        }
      }
    }
    contextOf(result).putImageData(part, left, top);
    return result;
  };

  const translateWhole = async (way, strength) => {
    const { width, height } = photo;
    const scale = Math.min(1, settings.work_px / Math.max(width, height));
    const small = canvasOf(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
    const context = contextOf(small);
    context.imageSmoothingQuality = "high";
    context.drawImage(photo, 0, 0, small.width, small.height);
    const change = await changeOf(small, way);
    const place = (x, y) => [x * small.width / width, y * small.height / height];
    return addChange(change, small.width, small.height, place, [0, 0, width, height], strength);
  };

  const translateFace = async (way, strength) => {
    const side = settings.crop_px;
    const [first, second] = [...eyes].sort((a, b) => a[0] - b[0]);
    const [dx, dy] = [second[0] - first[0], second[1] - first[1]];
    const distance = Math.hypot(dx, dy);
    const scale = settings.eye_distance * side / distance; // crop px per photograph px
    const [cosine, sine] = [scale * dx / distance, scale * dy / distance];
    const [midX, midY] = [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2];
    const shiftX = side / 2 - (cosine * midX + sine * midY);
    const shiftY = settings.eye_height * side - (-sine * midX + cosine * midY);
    const place = (x, y) => [cosine * x + sine * y + shiftX, -sine * x + cosine * y + shiftY];
    const crop = canvasOf(side, side);
    const context = contextOf(crop);
    context.imageSmoothingQuality = "high";
    // a large photograph is halved first: a canvas alone would alias
    const factor = Math.max(1, Math.floor(1 / scale));
    const reduced = canvasOf(Math.ceil(photo.width / factor), Math.ceil(photo.height / factor));
    const reducedContext = contextOf(reduced);
    reducedContext.imageSmoothingQuality = "high";
    reducedContext.drawImage(photo, 0, 0, photo.width / factor, photo.height / factor);
    context.fillStyle = "#808080";
    context.fillRect(0, 0, side, side);
    context.setTransform(factor * cosine, -factor * sine, factor * sine, factor * cosine, shiftX, shiftY);
    context.drawImage(reduced, 0, 0);
    const change = await changeOf(crop, way);
    const mask = faceMask(side);
    const masked = withoutCast(change, mask, side);
    const squared = scale * scale;
    const back = (column, row) => {
      const [x, y] = [column - shiftX, row - shiftY];
      return [(cosine * x - sine * y) / squared, (sine * x + cosine * y) / squared];
    };
    const corners = [back(0, 0), back(side, 0), back(side, side), back(0, side)];
    const range = (k, most) => [
      Math.max(0, Math.floor(Math.min(...corners.map((corner) => corner[k])))),
      Math.min(most, Math.ceil(Math.max(...corners.map((corner) => corner[k])))),
    ];
    const [left, right] = range(0, photo.width), [top, bottom] = range(1, photo.height);
    return addChange(masked, side, side, place, [left, top, right, bottom], strength);
  };

  const smooth = (value) => {
    const x = Math.min(1, Math.max(0, value));
    return x * x * (3 - 2 * x);
  };

  // 1 on the face of an aligned crop, fading to 0 around it: an ellipse, by the eyes.
  const faceMask = (side) => {
    const across = settings.eye_distance * side, down = 1.1 * across;
    const centre = settings.eye_height * side + down * (1.75 - 1.15) / 2;
    const edge = (place) => smooth(Math.min(place, side - place) / side / 0.12);
    const mask = new Float32Array(side * side);
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const [x, y] = [column + 0.5, row + 0.5];
        const radius = Math.hypot((x - side / 2) / (1.2 * across), (y - centre) / (down * 1.45));
        mask[row * side + column] = (1 - smooth((radius - 0.8) / 0.35)) * edge(x) * edge(y);
      }
    }
    return mask;
  };

  // The change on the face, less the cast that the network gives to the whole crop.
  const withoutCast = (change, mask, side) => {
    const reach = Math.ceil(0.36 * side);
    const kernel = Float32Array.from({ length: reach + 1 }, (_, k) => Math.exp(-0.5 * (k / (0.12 * side)) ** 2));
    const blurred = (plane) => {
      const half = new Float32Array(side * side), whole = new Float32Array(side * side);
      for (const [source, target, stride, step] of [[plane, half, 1, side], [half, whole, side, 1]]) {
        for (let line = 0; line < side; line++) {
          for (let place = 0; place < side; place++) {
            let sum = 0;
            const from = Math.max(0, place - reach), to = Math.min(side - 1, place + reach);
            for (let k = from; k <= to; k++) sum += kernel[Math.abs(k - place)] * source[line * step + k * stride];
            target[line * step + place * stride] = sum;
          }
        }
      }
      return whole;
    };
    const weight = mask.map((value) => (1 - value) ** 2 + 1e-3);
    const total = blurred(weight);
    return change.map((plane) => {
      const cast = blurred(plane.map((value, k) => value * weight[k]));
      return plane.map((value, k) => (value - cast[k] / total[k]) * mask[k]);
    });
  };

  const drawPhoto = () => {
    const canvas = element("before"), context = contextOf(canvas);
    [canvas.width, canvas.height] = [photo.width, photo.height];
    context.drawImage(photo, 0, 0);
    context.lineWidth = Math.max(2, photo.width / 200);
    context.strokeStyle = "#ff2d87";
    for (const [x, y] of eyes) {
      context.beginPath();
      context.arc(x, y, 3 * context.lineWidth, 0, 7);
      context.stroke();
    }
    canvas.classList.toggle("marking", settings.faces);
  };

  element("photo").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    let picture;
    try {
      picture = await createImageBitmap(file, { imageOrientation: "from-image" });
    } catch {
      return say((words) => words.unreadable);
    }
    if (picture.width * picture.height > MAX_PIXELS) return say((words) => words.large);
    photo = canvasOf(picture.width, picture.height);
    contextOf(photo).drawImage(picture, 0, 0);
    eyes = [];
    element("save").hidden = true;
    element("go").disabled = false;
    drawPhoto();
    say(() => "");
  });
  element("before").addEventListener("click", (event) => {
    if (!photo || !settings.faces) return;
    const frame = event.target.getBoundingClientRect();
    const point = [
      (event.clientX - frame.left) * photo.width / frame.width,
      (event.clientY - frame.top) * photo.height / frame.height,
    ];
    const isNear = eyes.length === 1 && Math.hypot(point[0] - eyes[0][0], point[1] - eyes[0][1]) < 2;
    if (!isNear) eyes = eyes.length === 2 ? [point] : [...eyes, point];
    drawPhoto();
    show();
  });
  element("strength").addEventListener("input", (event) => {
    element("times").value = String(Number(event.target.value));
  });
  element("language").addEventListener("click", (event) => {
    event.preventDefault();
    language = language === "zh" ? "en" : "zh";
    show();
  });
  element("go").addEventListener("click", async () => {
    element("go").disabled = true;
    say((words) => words.working);
    await new Promise((painted) => setTimeout(painted, 50));
    const started = performance.now();
    try {
      const [way, strength] = [Number(element("direction").value), Number(element("strength").value)];
      const isFace = settings.faces && eyes.length === 2;
      const result = await (isFace ? translateFace : translateWhole)(way, strength);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const canvas = element("after");
      [canvas.width, canvas.height] = [result.width, result.height];
      contextOf(canvas).drawImage(result, 0, 0);
      const plain = await new Promise((made) => result.toBlob(made, "image/png"));
      const saved = labelledPng(new Uint8Array(await plain.arrayBuffer()), settings.label);
      URL.revokeObjectURL(element("save").href);
      Object.assign(element("save"), { href: URL.createObjectURL(saved), download: "translated.png", hidden: false });
      say((words) => words.done(seconds));
    } catch (error) {
      say((words) => words.failed + error);
    }
    element("go").disabled = false;
  });

  show();
  try {
    await load();
    say((words) => (photo ? "" : words.ready));
  } catch (error) {
    say((words) => words.failed + error);
  }
})();
