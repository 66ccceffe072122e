"""axe-core on a page: what somebody who sees, hears or moves differently would be kept from.

Serious and critical violations count. In the dark the contrast alone is looked at again: everything
else is the same page.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

COUNTED = ("serious", "critical")
#: WCAG 2.1, levels A and AA.
RUN = """async ([rules, whole]) => {
  const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
  const found = await axe.run(whole ? document : { exclude: [["#nav-sidebar"]] }, {
    resultTypes: ["violations"],
    runOnly: rules.length ? { type: "rule", values: rules } : { type: "tag", values: WCAG },
  });
  return found.violations.map((one) => ({
    id: one.id, impact: one.impact, help: one.help,
    nodes: one.nodes.map((node) => [node.target.join(" "), node.html.slice(0, 200), node.failureSummary]),
  }));
}"""
THEME = """(dark) => {
  document.documentElement.classList.toggle("dark", dark);
  document.documentElement.classList.toggle("light", !dark);
}"""


def source() -> str:
    """axe-core, from its package."""
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def violations(page: Any, axe: str, *, whole: bool = True) -> list[dict[str, Any]]:
    """What is wrong with the page that is open, in the light and in the dark.

    `whole`: with the sidebar, which is the same on every page.
    """
    page.evaluate(axe)
    page.evaluate(THEME, arg=False)
    light = page.evaluate(RUN, [[], whole])
    page.evaluate(THEME, arg=True)
    dark = page.evaluate(RUN, [["color-contrast"], whole])
    return [one for one in (*light, *dark) if one["impact"] in COUNTED]
