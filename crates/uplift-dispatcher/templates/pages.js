// A page reads well without this. With it a request's log goes on by itself, and a page whose request has come to another
// state is loaded again.
"use strict";
(() => {
  const log = document.getElementById("log");
  if (!log || !log.dataset.of) return;
  const { of, state, after } = log.dataset;

  const look = async () => {
    try {
      const answer = await fetch(of + "/state");
      if (answer.ok && (await answer.text()) !== state) location.reload();
    } catch {
      // The dispatcher is away; the next look finds it.
    }
  };
  if (!["delivered", "rejected", "cancelled"].includes(state)) setInterval(look, 3000);

  if (after === undefined) return;
  const source = new EventSource(of + "/log?after=" + after);
  source.addEventListener("line", (event) => {
    const { at, level, text } = JSON.parse(event.data);
    const number = event.lastEventId;
    const item = document.createElement("li");
    item.id = "L" + number;
    item.className = level;
    const link = document.createElement("a");
    link.href = "#L" + number;
    link.textContent = number;
    link.setAttribute("aria-label", "Line " + number);
    const time = document.createElement("time");
    time.dateTime = at;
    time.textContent = at.slice(11, 19);
    const words = document.createElement("span");
    // What is not plain is shown as an escape.
    words.textContent = text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
      (c) => "\\u{" + c.charCodeAt(0).toString(16) + "}");
    item.append(link, time, words);
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
    log.append(item);
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("end", () => {
    source.close();
    look();
  });
  log.scrollTop = log.scrollHeight;
})();
