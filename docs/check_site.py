"""Looks at the built site in a real browser: `python -m docs.check_site [SITE [PAGE...]]`. Prints JSON.

Every page at widths of 1280 and 390 pixels, light and dark: nothing is wider than the screen, the console has no
errors, nothing is loaded from elsewhere, and axe-core finds no violation. The search finds what a reader would type:
for each question of docs/faq.md, the page that answers it is among the first three. Every error's message leads to a
section that the page of errors has, and the keyboard moves every control of the page that replays searches.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from docs.messages import Code

ROOT = Path(__file__).parents[1]
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
WORDS = {"target": "howto/target.html", "vLLM": "start/vllm.html", "refusal": "errors.html"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def _served(site: Path) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def look(page: Any, url: str, root: str) -> dict[str, list[str]]:
    """What is wrong with one page, by width and scheme."""
    from axe_playwright_python.sync_playwright import Axe

    loading: list[str] = []
    page.on("console", lambda message: loading.append(f"console: {message.text}") if message.type == "error" else None)
    page.on(
        "request",
        lambda one: None if one.url.startswith((root, "data:", "blob:")) else loading.append(f"loads {one.url}"),
    )
    page.goto(url)
    page.wait_for_load_state("networkidle")
    wrong: dict[str, list[str]] = {}
    for width in WIDTHS:
        for scheme in SCHEMES:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
            view = [f"{wider} px wider than the screen"] if wider > 0 else []
            view += [f"{one['id']}: {len(one['nodes'])} times, first {one['nodes'][0]['html'][:120]}" for one in found]
            wrong[f"{width} {scheme}"] = view
    return {**wrong, "any": loading}


def questions() -> dict[str, str]:
    """The page that answers each question, by the table of docs/faq.md; and words that a reader would type."""
    rows = re.findall(
        r"^\| ([^|]+) \| \[[^]]+\]\(([^)#]*)", (ROOT / "docs" / "faq.md").read_text("utf-8"), re.MULTILINE
    )
    return {question: (page or "faq.md").replace(".md", ".html") for question, page in rows} | WORDS


def missing_sections(site: Path) -> list[str]:
    """The classes of errors whose messages lead to a section that the built page does not have."""
    page = (site / "errors.html").read_text(encoding="utf-8")
    return [name for name in sorted(Code.read().errors - {"OptScaleError"}) if f'id="{name.lower()}"' not in page]


def found_by(page: Any, root: str, words: str) -> list[str]:
    """The first three pages that the search finds."""
    from playwright.sync_api import TimeoutError as NotFoundInTime

    page.goto(f"{root}/index.html")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("/")
    page.keyboard.type(words)
    try:
        page.wait_for_selector(".md-search-result__item", timeout=10_000)
        page.wait_for_timeout(400)  # the results of the last word
    except NotFoundInTime:
        return []
    links = page.eval_on_selector_all(".md-search-result__item > a:first-child", "all => all.map(one => one.pathname)")
    return [link.lstrip("/") for link in links[:3]]


def searches(page: Any, root: str) -> dict[str, list[str]]:
    """What the search finds first where that does not answer."""
    found = {words: found_by(page, root, words) for words in questions()}
    return {words: pages for words, pages in found.items() if questions()[words] not in pages}


# What each control of concepts/explore.html changes, by the keys that a reader presses on it.
CONTROLS = {
    "price": ("End", "all-said"),
    "quality": ("Home", "all-said"),
    "target": ("Home", "one-said"),
    "confidence": ("Home", "one-said"),
    "aims": ("Space", "all-said"),
    "question": ("ArrowDown", "one-said"),
    "pool": ("ArrowDown", "all-said"),
}


def without_effect(page: Any, root: str) -> list[str]:
    """The controls of the page of replays that the keyboard does not reach, or that change nothing of what it says."""
    idle = []
    for control, (key, said) in CONTROLS.items():
        page.goto(f"{root}/concepts/explore.html")
        before = page.text_content(f"#explore-{said}")
        page.focus(f"#explore-{control}")
        page.keyboard.press(key)
        page.wait_for_timeout(300)  # it draws with the next picture of the screen
        idle += [control] if page.text_content(f"#explore-{said}") == before else []
    return idle


def check(site: Path, pages: list[str] | None = None) -> dict[str, Any]:
    """All pages, or some."""
    from playwright.sync_api import sync_playwright

    names = pages or sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    server = _served(site)
    root = f"http://127.0.0.1:{server.server_address[1]}"
    wrong: dict[str, list[str]] = {}
    try:
        with sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            browser = chromium.new_context()  # one for all pages: what they share is loaded once
            for name in names:
                page = browser.new_page()
                found = look(page, f"{root}/{name}", root)
                here = {f"{name} {view}": faults for view, faults in found.items() if faults}
                sys.stderr.write(f"{name}: {json.dumps(here, indent=1) if here else 'nothing wrong'}\n")
                wrong |= here
                page.close()
            missing = searches(browser.new_page(), root)
            idle = without_effect(browser.new_page(), root)
            chromium.close()
    finally:
        server.shutdown()
    figures = {"pages": len(names), "views": len(names) * len(WIDTHS) * len(SCHEMES), "searches": len(questions())}
    sections = missing_sections(site)
    return {**figures, "wrong": wrong, "not_found": missing, "no_section": sections, "without_effect": idle}


def main() -> None:
    """Fail where anything is wrong."""
    figures = check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site", sys.argv[2:] or None)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    sys.exit(any(figures[kind] for kind in ("wrong", "not_found", "no_section", "without_effect")))


if __name__ == "__main__":
    main()
