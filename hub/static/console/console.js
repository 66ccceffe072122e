// The console's keyboard, and parts of a page that keep themselves up to date. Without it every page
// works, by its links and by loading it again.
(() => {
  "use strict";
  const OFF = "hw-keys-off";
  const TYPED = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]";
  const SEARCH = ["#hw-find-q", "#searchbar", "#nav-filter"]; // the first that is seen
  const SEQUENCE = 1500; // milliseconds for the second key
  const PAUSE = 10000;

  // --- keyboard ---------------------------------------------------------------------------------
  const seen = (element) => element.getClientRects().length > 0;
  const help = () => document.getElementById("hw-keys");

  const SINGLE = {
    "/": () => SEARCH.map((one) => document.querySelector(one)).find((one) => one && seen(one))?.focus(),
    "?": () => help()?.showModal(),
  };

  let begun = "";
  let forget;

  const pressed = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target instanceof Element && event.target.closest(TYPED);
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (localStorage.getItem(OFF) || document.querySelector("dialog[open]")) return;
    clearTimeout(forget);
    const keys = begun ? `${begun} ${event.key}` : event.key;
    begun = "";
    const link = help()?.querySelector(`[data-keys="${CSS.escape(keys)}"]`);
    const act = SINGLE[keys] ?? (link && (() => link.click()));
    if (act) {
      event.preventDefault();
      act();
    } else if (help()?.querySelector(`[data-keys^="${CSS.escape(event.key)} "]`)) {
      begun = event.key;
      forget = setTimeout(() => { begun = ""; }, SEQUENCE);
    }
  };

  const listen = () => {
    document.addEventListener("keydown", pressed);
    const on = document.querySelector("[data-keys-on]");
    if (on) {
      on.checked = !localStorage.getItem(OFF);
      on.addEventListener("change", () => {
        if (on.checked) localStorage.removeItem(OFF);
        else localStorage.setItem(OFF, "1");
      });
    }
    for (const opener of document.querySelectorAll("[data-opens-keys]")) {
      opener.hidden = false;
      opener.addEventListener("click", SINGLE["?"]);
    }
  };

  // --- parts that keep themselves up to date: data-kept="<name>" ----------------------------------
  const FOCUSABLE = "a[href], button, summary, input, select, textarea, [tabindex]";

  // What a person is at, inside a part, so that it is the same after the part has changed.
  const remember = (part) => {
    const at = document.activeElement;
    const inside = part.contains(at) && at !== part;
    return {
      focus: inside && { href: at.getAttribute("href"), place: [...part.querySelectorAll(FOCUSABLE)].indexOf(at) },
      scrolled: [...part.querySelectorAll(".hw-scroll")].map((element) => element.scrollLeft),
      open: [...part.querySelectorAll("details")].map((element) => element.open),
    };
  };

  const restore = (part, was) => {
    part.querySelectorAll(".hw-scroll").forEach((element, n) => { element.scrollLeft = was.scrolled[n] ?? 0; });
    part.querySelectorAll("details").forEach((element, n) => { element.open = was.open[n] ?? element.open; });
    if (!was.focus) return;
    const all = [...part.querySelectorAll(FOCUSABLE)];
    const same = all.find((element) => was.focus.href && element.getAttribute("href") === was.focus.href);
    (same ?? all[Math.min(was.focus.place, all.length - 1)])?.focus({ preventScroll: true });
  };

  const selecting = () => !(document.getSelection()?.isCollapsed ?? true);

  const renew = async (note) => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) {
      note.textContent = "You are logged out: load the page again. What is shown is old.";
      return false;
    }
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-kept]")) {
      const now = fresh.querySelector(`[data-kept="${CSS.escape(part.dataset.kept)}"]`);
      if (!now || now.innerHTML === part.innerHTML) continue;
      const was = remember(part);
      part.replaceChildren(...now.childNodes);
      restore(part, was);
    }
    document.title = fresh.title;
    note.textContent = "";
    return true;
  };

  let next;
  const keep = async () => {
    clearTimeout(next);
    const note = document.querySelector("[data-kept-note]");
    let on = true;
    if (!document.hidden && !selecting()) {
      try {
        on = await renew(note);
      } catch {
        note.textContent = "The hub does not answer: what is shown is old. Trying again.";
      }
    }
    if (on) next = setTimeout(keep, PAUSE);
  };

  // Django's two-sided selects make their explanations a name, which only what has a role may have.
  window.addEventListener("load", () => {
    for (const tip of document.querySelectorAll("span.help-tooltip[aria-label]")) tip.setAttribute("role", "img");
  });

  document.addEventListener("DOMContentLoaded", () => {
    listen();
    if (!document.querySelector("[data-kept-note]")) return;
    next = setTimeout(keep, PAUSE);
    // Whoever comes back to the page sees it as it is now.
    document.addEventListener("visibilitychange", keep);
  });
})();
