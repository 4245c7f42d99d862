"use strict";
const cells = JSON.parse(document.getElementById("cells").textContent);
const details = document.getElementById("details");
const buttons = document.querySelectorAll("td button");
function line(list, name, value) {
  if (!value) return;
  const dt = document.createElement("dt"), dd = document.createElement("dd");
  dt.textContent = name; dd.textContent = value; list.append(dt, dd);
}
function press(button) {
  for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  details.hidden = !button;
}
function show(button) {
  press(button);
  const close = document.createElement("button");
  close.type = "button"; close.textContent = "close";
  close.addEventListener("click", () => { press(null); button.focus(); });
  details.replaceChildren(close);
  for (const one of cells[button.dataset.cell]) {
    const list = document.createElement("dl");
    line(list, "asked", one.asked); line(list, "address", one.address);
    line(list, "expected", one.expected); line(list, "because", one.why);
    line(list, "observed", one.observed); line(list, "how", one.how); line(list, "note", one.note);
    for (const seen of one.control) line(list, "control", seen);
    line(list, "reason", one.reason); line(list, "fix", one.fix);
    for (const seen of one.evidence) line(list, "seen", seen);
    details.append(list);
  }
}
for (const button of buttons) button.addEventListener("click", () => show(button));
