(() => {
  const dialog = document.querySelector("dialog.zoom");
  const large = dialog.querySelector("img");
  const caption = dialog.querySelector("p");
  const buttons = [...document.querySelectorAll("button.picture")];
  const columns = new Map();  // the picture of each strip that a flip goes back to
  let current = buttons[0];
  const show = (button) => {
    current = button;
    const picture = button.querySelector("img");
    large.src = picture.src;
    large.alt = picture.alt;
    caption.textContent = picture.alt;
  };
  const step = (by) =>
    show(buttons[(buttons.indexOf(current) + by + buttons.length) % buttons.length]);
  const flip = () => {
    const strip = current.closest(".strip");
    if (!strip || strip.children.length < 2) return;
    const [input, second] = strip.children;
    if (current === input) {
      show(columns.get(strip) || second);
    } else {
      columns.set(strip, current);
      show(input);
    }
  };
  buttons.forEach((button) =>
    button.addEventListener("click", () => { show(button); dialog.showModal(); }));
  dialog.addEventListener("click", (event) => event.target === large ? flip() : dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const actions = { ArrowRight: () => step(1), ArrowLeft: () => step(-1), " ": flip };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
})();
