// Sends a dump from its page to the object store: by parts, several at once, and on from where it was broken off. Everything
// else that it needs it asks the page's own server, as the form that it is.
"use strict";
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const AT_ONCE = 3;
  // How often the store may refuse a part before it is given up.
  const REFUSALS = 5;
  const at = (id) => document.getElementById(id);
  const [file, sending, bar, said, button] = [at("file"), at("sending"), at("sent"), at("said"), form.querySelector("button")];
  const csrf = form.elements.csrf.value;

  const tell = (text, wrong) => {
    said.className = wrong ? "error" : "";
    said.setAttribute("role", wrong ? "alert" : "status");
    said.textContent = text;
  };
  const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  const size = (bytes) => {
    const units = ["bytes", "kB", "MB", "GB", "TB"];
    let unit = 0;
    for (; bytes >= 999.95 && unit < 4; unit++) bytes /= 1000;
    return (unit ? bytes.toFixed(1) : bytes) + " " + units[unit];
  };
  const time = (seconds) => (seconds < 60 ? Math.ceil(seconds) + " s" : seconds < 3600
    ? Math.ceil(seconds / 60) + " min" : Math.floor(seconds / 3600) + " h " + Math.ceil((seconds % 3600) / 60) + " min");

  // A file that is chosen by dropping, and the name that it suggests.
  for (const kind of ["dragover", "dragleave", "drop"]) {
    form.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.toggle("over", kind === "dragover");
      if (kind !== "drop" || file.disabled || !event.dataTransfer.files.length) return;
      file.files = event.dataTransfer.files;
      file.dispatchEvent(new Event("change"));
    });
  }
  file.addEventListener("change", () => {
    const chosen = file.files[0];
    if (!chosen) return;
    const name = form.elements.database;
    if (name && !name.value) {
      name.value = chosen.name.replace(/(\.(dump|sql|backup|pgdump|custom|tar|zip|gz|tgz|bz2|xz|zst|lz4))+$/i, "").slice(0, 63);
    }
    const most = Number(form.dataset.most || Infinity);
    if (chosen.size > most) tell(`${chosen.name} has ${size(chosen.size)}: dumps have ${size(most)} at most here`, true);
    else tell(`${chosen.name}, ${size(chosen.size)}`);
  });

  // What the page's server answers to a form, or to a look where there are no fields. While it is away, it is asked again.
  const ask = async (path, fields, headers) => {
    for (let wait = 1; ; wait = Math.min(wait * 2, 30)) {
      let answer;
      try {
        answer = await fetch(path, fields && { method: "POST", headers, body: new URLSearchParams({ csrf, ...fields }) });
      } catch {
        answer = undefined;
      }
      const words = answer && (answer.headers.get("content-type") || "").includes("json");
      if (answer && answer.ok && words) return answer.json();
      if (answer && answer.status < 500) {
        const detail = words ? (await answer.json()).detail
          : "You are not logged in any more: log in, open this page again, and choose the same file; what is sent stays sent";
        throw Object.assign(new Error(detail), { status: answer.status });
      }
      tell("Uplift is out of reach: it is tried again by itself");
      await pause(wait);
    }
  };

  // Puts bytes where a link leads; gives the status, which is 0 where nothing was heard.
  const put = (url, bytes, progress) => new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onloadend = () => done(request.status);
    request.timeout = 600000;
    request.send(bytes);
  });

  const readable = async (bytes) => {
    try {
      await bytes.slice(0, 1).arrayBuffer();
    } catch {
      throw new Error("The file cannot be read any more: it was changed, or is gone. Choose it again");
    }
  };

  const send = async (of, chosen, { part_bytes: length, parts }) => {
    const count = Math.ceil(chosen.size / length);
    const bytes = (part) => Math.min(length, chosen.size - (part - 1) * length);
    const sent = new Map(parts.filter((there) => there.bytes === bytes(there.part)).map((there) => [there.part, there.bytes]));
    const missing = [];
    for (let part = 1; part <= count; part++) if (!sent.has(part)) missing.push(part);
    const total = () => [...sent.values()].reduce((sum, some) => sum + some, 0);
    const [begun, before] = [Date.now(), total()];
    let stopped = false;
    const show = () => {
      if (stopped) return;
      const [now, seconds] = [Math.min(total(), chosen.size), (Date.now() - begun) / 1000];
      bar.value = now / chosen.size;
      const rate = (now - before) / seconds;
      const pace = seconds > 2 && rate > 0 ? `, ${size(rate)}/s, ${time((chosen.size - now) / rate)} left` : "";
      tell(`${size(now)} of ${size(chosen.size)}${pace}`);
    };
    const one = async (part) => {
      const content = chosen.slice((part - 1) * length, (part - 1) * length + bytes(part));
      for (let [wait, refusals] = [1, 0]; !stopped; wait = Math.min(wait * 2, 30)) {
        const { url } = await ask(of + "/upload", { part });
        const status = await put(url, content, (some) => {
          sent.set(part, some);
          show();
        });
        if (status >= 200 && status < 300) {
          sent.set(part, bytes(part));
          show();
          return;
        }
        sent.delete(part);
        await readable(content);
        if (status >= 400 && status < 500 && ++refusals === REFUSALS) {
          throw new Error(`The object store refuses part ${part} with ${status}: try again later; what is sent stays sent`);
        }
        tell("The object store is out of reach: it is tried again by itself");
        await pause(wait);
      }
    };
    show();
    try {
      const line = async () => {
        for (let part; !stopped && (part = missing.shift()); ) await one(part);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, line));
    } finally {
      stopped = true;
    }
  };

  // What is remembered of the file, so that another one of the same name and length is not taken for it. It may be gone.
  const remembered = (of) => {
    try {
      return localStorage.getItem("upload" + of);
    } catch {
      return null;
    }
  };
  const remember = (of, what) => {
    try {
      if (what === null) localStorage.removeItem("upload" + of);
      else localStorage.setItem("upload" + of, what);
    } catch {
      // A browser that keeps nothing.
    }
  };

  const create = async (chosen) => {
    const { database, target, purpose, email } = form.elements;
    const later = at("later");
    const fields = {
      database: database.value, target: target.value, purpose: purpose.value, email: email ? email.value : "",
      file_name: chosen.name, bytes: chosen.size,
      not_before: later.value ? new Date(later.value).toISOString() : "",
    };
    // Asked again since the answer was lost, it is the same request.
    const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const { request } = await ask("/requests", fields, { "Idempotency-Key": key });
    Object.assign(form.dataset, { of: "/requests/" + request.id, name: chosen.name, bytes: chosen.size });
    remember(form.dataset.of, chosen.lastModified);
    // Loaded again, it is the request's page, where the upload goes on.
    history.replaceState(null, "", form.dataset.of);
  };

  const same = (chosen) => {
    const { of, name, bytes } = form.dataset;
    if (chosen.name !== name || chosen.size !== Number(bytes)) {
      throw new Error(`This is ${chosen.name} with ${chosen.size} bytes, and the request waits for ${name} with ${bytes}: choose that one, or cancel the request`);
    }
    const changed = remembered(of);
    if (changed !== null && changed !== String(chosen.lastModified)) {
      throw new Error("The file was changed since its first parts were sent: cancel the request, and begin anew");
    }
  };

  const warn = (event) => event.preventDefault();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = file.files[0];
    if (!chosen) return;
    button.disabled = file.disabled = true;
    sending.hidden = false;
    addEventListener("beforeunload", warn);
    try {
      if (!form.dataset.of) await create(chosen);
      same(chosen);
      const { of } = form.dataset;
      let there;
      try {
        there = await ask(of + "/upload");
      } catch (error) {
        // All of it may be there: then there is nothing to send.
        if (error.status !== 409) throw error;
      }
      if (there) await send(of, chosen, there);
      removeEventListener("beforeunload", warn);
      await ask(of + "/upload/complete", {});
      remember(of, null);
      location.assign(of);
    } catch (error) {
      removeEventListener("beforeunload", warn);
      tell(error.message, true);
      button.disabled = file.disabled = false;
    }
  });
})();
