// What Gradio cannot be told by its components. The page's own words come in `window.suyan`.
(() => {
  const { language, maxBytes, tooLarge, words } = window.suyan;

  // Gradio takes its own words from the browser's language, not from the page's.
  Object.defineProperty(navigator, "language", { get: () => language });
  Object.defineProperty(navigator, "languages", { get: () => [language] });
  document.documentElement.lang = language;

  // Gradio would refuse a large file in English, in another unit, and for some seconds only.
  const check = (event, files) => {
    const large = [...(files ?? [])].find((file) => file.size > maxBytes);
    const notice = document.querySelector("#notice-text");
    if (!notice || !files?.length) return;
    notice.textContent = large
      ? tooLarge.replace("{megabytes}", (large.size / 1e6).toFixed(1))
      : "";
    if (!large) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    if (event.target.type === "file") event.target.value = "";
  };
  document.addEventListener(
    "change",
    (event) => event.target.type === "file" && check(event, event.target.files),
    true,
  );
  document.addEventListener("drop", (event) => check(event, event.dataTransfer?.files), true);
  document.addEventListener("paste", (event) => check(event, event.clipboardData?.files), true);

  // Words that Gradio has in English alone.
  const patterns = words.map(([pattern, text]) => [new RegExp(pattern), text]);
  const translated = (text) => {
    const match = patterns.find(([pattern]) => pattern.test(text.trim()));
    return match ? text.trim().replace(...match) : text;
  };
  const translateNode = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      const text = translated(node.data);
      if (text !== node.data) node.data = text;
    }
    if (node.nodeType !== Node.ELEMENT_NODE || ["SCRIPT", "STYLE"].includes(node.tagName)) return;
    for (const name of ["aria-label", "title", "placeholder"]) {
      const value = node.getAttribute(name);
      if (value && translated(value) !== value) node.setAttribute(name, translated(value));
    }
    node.childNodes.forEach(translateNode);
  };
  new MutationObserver((records) =>
    records.forEach((record) => {
      if (record.type === "childList") record.addedNodes.forEach(translateNode);
      else translateNode(record.target);
    }),
  ).observe(document.documentElement, {
    subtree: true,
    childList: true,
    characterData: true,
    attributeFilter: ["aria-label", "title", "placeholder"],
  });
})();
