"use strict";
const cells = JSON.parse(document.getElementById("cells").textContent);
const details = document.getElementById("details");
function line(list, name, value) {
  if (!value) return;
  const dt = document.createElement("dt"), dd = document.createElement("dd");
  dt.textContent = name; dd.textContent = value; list.append(dt, dd);
}
function show(button) {
  for (const other of document.querySelectorAll("td button"))
    other.setAttribute("aria-pressed", String(other === button));
  details.replaceChildren();
  for (const one of cells[button.dataset.cell]) {
    const list = document.createElement("dl");
    line(list, "asked", one.asked); line(list, "address", one.address);
    line(list, "expected", one.expected); line(list, "because", one.why);
    line(list, "observed", one.observed); line(list, "how", one.how); line(list, "note", one.note);
    line(list, "reason", one.reason); line(list, "fix", one.fix);
    for (const seen of one.evidence) line(list, "seen", seen);
    details.append(list);
  }
}
for (const button of document.querySelectorAll("td button"))
  button.addEventListener("click", () => show(button));
