// Keeps sync runs on a page up to date: badges, bars, counters; no reload, no dependency.
// Elements: data-run="<id>" data-part="<member>"; the answer of the progress address has the members.
(() => {
  "use strict";
  const TONES = ["good", "busy", "warn", "bad", "quiet"];
  const PAUSE = 1000;
  const PAUSE_AFTER_ERROR = 5000;

  const setTone = (element, tone) => {
    for (const other of TONES) element.classList.toggle(`hw-${other}`, other === tone);
  };

  const SHOW = {
    state(element, run) {
      element.textContent = run.state;
      setTone(element, run.tone);
      element.toggleAttribute("data-live", run.live);
    },
    bar(element, run) {
      setTone(element, run.tone);
      element.classList.toggle("hw-sweeping", run.percent === null && run.state === "running");
      element.setAttribute("aria-valuenow", run.percent ?? "");
      element.firstElementChild.style.width = `${run.percent ?? 0}%`;
    },
    // A block that is shown in some states only: data-states="failed held".
    block(element, run) {
      element.hidden = !element.dataset.states.split(" ").includes(run.state);
    },
  };

  const show = (run) => {
    for (const element of document.querySelectorAll(`[data-run="${run.id}"]`)) {
      const part = element.dataset.part;
      if (SHOW[part]) SHOW[part](element, run);
      else if (part in run) element.textContent = run[part];
    }
  };

  const poll = async (address) => {
    const live = [...document.querySelectorAll("[data-run][data-live]")];
    const ids = new Set(live.map((element) => element.dataset.run));
    if (!ids.size) return;
    let pause = PAUSE;
    if (!document.hidden) {
      try {
        const query = new URLSearchParams([...ids].map((id) => ["id", id]));
        const answer = await fetch(`${address}?${query}`, { headers: { Accept: "application/json" } });
        if (answer.redirected || !answer.ok) throw new Error(`progress answered ${answer.status}`);
        for (const run of (await answer.json()).runs) show(run);
      } catch {
        pause = PAUSE_AFTER_ERROR;
      }
    }
    setTimeout(poll, pause, address);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const place = document.querySelector("[data-progress-address]");
    if (place) poll(place.dataset.progressAddress);
  });
})();
