"""`python -m benchmarks.page_drawn PAGE TIMES`: how long until the frame after all figures are drawn, as JSON.

A row an opening: seconds from the start of the navigation, and seconds that the page's main thread computed meanwhile,
which do not depend on what else the machine does. Runs where Playwright and Debian's Chromium are (`make system`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.system.browser import DESK, chromium

# performance.now() counts from the start of the navigation.
FRAME_MS = """() => new Promise(tell => {
  const look = () => document.body && document.body.dataset.drawn === "yes"
    ? requestAnimationFrame(() => setTimeout(() => tell(performance.now()), 0))
    : requestAnimationFrame(look);
  look();
})"""


def main() -> None:
    """The first opening warms the browser and is not told."""
    url, times = Path(sys.argv[1]).resolve().as_uri(), int(sys.argv[2])
    rows = []
    with chromium() as browser:
        for _ in range(times + 1):
            with browser.new_context(viewport=DESK) as context:
                page = context.new_page()
                session = context.new_cdp_session(page)
                session.send("Performance.enable", {"timeDomain": "threadTicks"})
                page.goto(url, wait_until="commit")
                wall_s = page.evaluate(FRAME_MS) / 1000
                told = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
                rows.append((wall_s, told["TaskDuration"]))
    print(json.dumps(rows[1:]))


if __name__ == "__main__":
    main()
