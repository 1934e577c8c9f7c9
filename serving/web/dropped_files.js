// Files and folders that are dropped onto the page.

/** The files below a dropped entry, with their paths. */
const filesOf = async (entry, path) => {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    if (path) file.relativePath = path + file.name;
    return [file];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!entries.length) return files;
    for (const each of entries) files.push(...(await filesOf(each, `${path}${entry.name}/`)));
  }
};

/** Give `add` what is dropped anywhere on the page; `target` shows that it can be. */
export const acceptDrops = (target, add) => {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("over");
  });
  document.addEventListener("dragleave", () => target.classList.remove("over"));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    target.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const plain = [...event.dataTransfer.files];
    if (!entries.some((entry) => entry?.isDirectory)) return add(plain);
    const files = [];
    for (const entry of entries) if (entry) files.push(...(await filesOf(entry, "")));
    add(files);
  });
};
