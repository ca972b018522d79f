// Shows what the cache said about this page. Asking again reads the page anew,
// so an edit shows without a reload, too.
const cells = document.querySelectorAll("[data-header]");
const changed = document.getElementById("changed");

async function ask() {
  let response;
  try {
    response = await fetch(location.pathname, { cache: "no-store" });
  } catch {
    for (const cell of cells) cell.textContent = "no answer";
    return;
  }
  for (const cell of cells) {
    const value = response.headers.get(cell.dataset.header);
    cell.textContent = value === null ? "not said" : value + (cell.dataset.unit ?? "");
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const line = page.getElementById("changed");
  if (line !== null) changed.textContent = line.textContent;
}

document.getElementById("again").addEventListener("click", ask);
ask();
