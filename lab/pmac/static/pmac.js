"use strict";
(() => {
  // ---- Main Menu
  for (const folder of document.querySelectorAll("nav button[aria-expanded]")) {
    folder.addEventListener("click", () => {
      const open = folder.getAttribute("aria-expanded") !== "true";
      folder.setAttribute("aria-expanded", String(open));
      folder.nextElementSibling.hidden = !open;
    });
  }
  for (const button of document.querySelectorAll("button[data-href]")) {
    button.addEventListener("click", () => location.assign(button.dataset.href));
  }

  // ---- Manage Software Images
  const images = document.getElementById("images");
  if (images) {
    const remove = document.getElementById("delete-image");
    const form = document.getElementById("delete");
    const choose = (row) => {
      for (const other of images.tBodies[0].rows) {
        other.setAttribute("aria-selected", String(other === row && other.getAttribute("aria-selected") !== "true"));
      }
      remove.disabled = !images.querySelector("[aria-selected=true]");
    };
    for (const row of images.tBodies[0].rows) {
      row.addEventListener("click", () => choose(row));
      row.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); choose(row); } });
    }
    remove.addEventListener("click", () => {
      const { name } = images.querySelector("[aria-selected=true]").dataset;
      if (!confirm(`Delete Image ${name}?\nIt will be removed from the repository.`)) return;
      form.elements.name.value = name;
      form.submit();
    });
    const tasks = document.getElementById("tasks-button");
    tasks.addEventListener("click", () => {
      const popup = document.getElementById("page-tasks");
      popup.hidden = !popup.hidden;
      tasks.setAttribute("aria-expanded", String(!popup.hidden));
    });
  }

  // ---- Add Image
  const add = document.getElementById("add");
  if (add) {
    add.addEventListener("submit", (event) => {
      event.preventDefault();
      const path = add.elements.path.value;
      if (!path) { alert("Select an image file first."); return; }
      const folder = path.slice(0, path.lastIndexOf("/"));
      const move = confirm(`Click OK to remove the image from ${folder} directory after it is added to the repository. `
        + "Click Cancel to leave it there.");
      add.elements.remove.value = move ? "yes" : "no";
      add.submit();
    });
  }

  // ---- Task Monitoring
  const monitoring = document.getElementById("monitoring");
  if (monitoring) {
    setInterval(async () => {
      let answer;
      try { answer = await fetch("/gui/tasks/rows"); } catch { return; } // the next one may get through
      if (answer.status === 401) { location.assign("/gui/login"); return; }
      if (answer.ok) document.getElementById("task-rows").innerHTML = (await answer.json()).rows;
    }, 1000 * Number(monitoring.dataset.seconds));
  }
})();
