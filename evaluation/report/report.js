(() => {
  const dialog = document.querySelector("dialog.zoom");
  const large = dialog.querySelector("img");
  const caption = dialog.querySelector("p");
  const buttons = [...document.querySelectorAll("button.picture")];
  let current = 0;
  const show = (index) => {
    current = (index + buttons.length) % buttons.length;
    const picture = buttons[current].querySelector("img");
    large.src = picture.src;
    large.alt = picture.alt;
    caption.textContent = picture.alt;
  };
  buttons.forEach((button, index) =>
    button.addEventListener("click", () => { show(index); dialog.showModal(); }));
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(current + 1);
    if (event.key === "ArrowLeft") show(current - 1);
  });
})();
