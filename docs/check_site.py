"""Looks at the built site in a real browser: `python -m docs.check_site [SITE [PAGE...]]`. Prints JSON.

Every page at widths of 1280 and 390 pixels, light and dark: nothing is wider than the screen, the console has no
errors, nothing is loaded from elsewhere, and axe-core finds no violation. The search finds what a reader would type.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
WORDS = ("target", "vLLM", "refusal")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def _served(site: Path) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def look(page: Any, url: str, root: str) -> list[str]:
    """What is wrong with one page, as it is shown now."""
    from axe_playwright_python.sync_playwright import Axe

    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type == "error" else None)
    page.on(
        "request",
        lambda one: None if one.url.startswith((root, "data:", "blob:")) else wrong.append(f"loads {one.url}"),
    )
    page.goto(url)
    page.wait_for_load_state("networkidle")
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wider > 0:
        wrong.append(f"{wider} px wider than the screen")
    found = Axe().run(page).response["violations"]
    wrong += [f"{one['id']}: {len(one['nodes'])} times, first {one['nodes'][0]['html'][:120]}" for one in found]
    return wrong


def searches(page: Any, root: str) -> list[str]:
    """The words that the search does not find."""
    from playwright.sync_api import TimeoutError as NotFoundInTime

    missing = []
    for word in WORDS:
        page.goto(f"{root}/index.html")
        page.wait_for_load_state("networkidle")
        page.keyboard.press("/")
        page.keyboard.type(word, delay=20)
        try:
            page.wait_for_selector(".md-search-result__item", timeout=10_000)
        except NotFoundInTime:
            missing.append(word)
    return missing


def check(site: Path, pages: list[str] | None = None) -> dict[str, Any]:
    """All pages, or some."""
    from playwright.sync_api import sync_playwright

    names = pages or sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    server = _served(site)
    root = f"http://127.0.0.1:{server.server_address[1]}"
    wrong: dict[str, list[str]] = {}
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for width in WIDTHS:
                for scheme in SCHEMES:
                    for name in names:
                        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
                        if found := look(page, f"{root}/{name}", root):
                            wrong[f"{name} {width} {scheme}"] = found
                        page.close()
            missing = searches(browser.new_page(), root)
            browser.close()
    finally:
        server.shutdown()
    return {"pages": len(names), "views": len(names) * len(WIDTHS) * len(SCHEMES), "wrong": wrong, "not_found": missing}


def main() -> None:
    """Fail where anything is wrong."""
    figures = check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site", sys.argv[2:] or None)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    sys.exit(bool(figures["wrong"] or figures["not_found"]))


if __name__ == "__main__":
    main()
