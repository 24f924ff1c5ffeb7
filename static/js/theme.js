// Runs before the first paint, so that a chosen theme never flashes in the other one.
// A classic script on purpose: modules run after parsing.
(() => {
  const choice = localStorage.getItem("theme");
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
