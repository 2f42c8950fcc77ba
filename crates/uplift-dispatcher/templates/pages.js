// A page reads well without this. With it a request's log goes on by itself, and a page on which something goes on is loaded
// again.
"use strict";
(() => {
  const { again } = document.body.dataset;
  // Said to be by itself: nobody stays logged in by it.
  if (again) setTimeout(() => location.replace(location.pathname + "?again"), again * 1000);

  const log = document.getElementById("log");
  if (!log || !log.dataset.of) return;
  const { of, state, after } = log.dataset;

  const show = ({ percent, stage }) => {
    const bar = document.getElementById("progress");
    if (!bar) return;
    bar.value = percent;
    bar.labels[0].textContent = percent + " %";
    for (const item of document.querySelectorAll(".stages li")) {
      if (item.textContent === stage) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
  };

  const look = async () => {
    try {
      const answer = await fetch(of + "/state");
      // Whoever is not logged in any more is led to the login.
      if (answer.redirected) location.reload();
      if (!answer.ok) return;
      const { state: now, progress } = await answer.json();
      if (now !== state) location.reload();
      else if (progress) show(progress);
    } catch {
      // The dispatcher is away; the next look finds it.
    }
  };
  // Not while somebody writes: what they have typed would be gone.
  const writes = () => document.activeElement && document.activeElement.matches("textarea, input");
  if (log.dataset.live !== undefined) setInterval(() => writes() || look(), 3000);

  if (after === undefined) return;
  // More lines than this are not kept on the page; all are in the text.
  const MOST = 5000;
  const follow = document.getElementById("follow");
  const atEnd = () => log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
  const toEnd = () => {
    log.scrollTop = log.scrollHeight;
  };
  log.addEventListener("scroll", () => {
    follow.hidden = atEnd();
  });
  follow.addEventListener("click", toEnd);

  const source = new EventSource(of + "/log?after=" + after);
  source.addEventListener("line", (event) => {
    const following = follow.hidden;
    log.insertAdjacentHTML("beforeend", event.data);
    if (!following) return;
    while (log.children.length > MOST) log.firstElementChild.remove();
    toEnd();
  });
  source.addEventListener("end", () => {
    source.close();
    look();
  });
  toEnd();
})();
