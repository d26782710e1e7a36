"""The report's page in a real browser: it fits wide and narrow screens, light and dark, and runs nothing it holds."""

import pytest

from langchain_optscale.learning.entries import Event
from langchain_optscale.learning.report import report_of
from langchain_optscale.learning.report_html import html_report
from tests.integration_tests.test_card import ARTEFACTS, CHROMIUM, chromium, pixels
from tests.unit_tests.learning.make_rows import make_traffic

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; Debian's package is `chromium`")

EVIL = "<script>document.title='taken over'</script><img src=x onerror=\"document.title='taken over'\">"
# Chromium's own setting: 0 is dark, 1 light.
SCHEMES = {"dark": 0, "light": 1}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rows = make_traffic(300, prompt=f"How many rivers flow through Vienna? {EVIL}")
    events = [Event(rows[0].time, "learned", {"rows": 200, "note": EVIL})]
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_report(report_of(rows, events), "Searches"), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_is_drawn_in_its_colours(page, width, scheme, tmp_path):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    picture = ARTEFACTS / f"report-{scheme}-{width}.png"
    picture.unlink(missing_ok=True)
    settings = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
    # Headless Chromium makes no window narrower than 500 pixels, so a frame of the width stands in the page.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<!doctype html><body style='margin:0'><iframe src='{page.as_uri()}' "
        f"style='border:0;width:{width}px;height:1500px'></iframe>",
        "utf-8",
    )
    size = f"--window-size={max(width, 500)},1500"
    chromium(tmp_path, settings, f"--screenshot={picture}", size, frame.as_uri())
    found, height, rows = pixels(picture)
    assert (found, height) == (max(width, 500), 1500)
    depth = len(rows[0]) // found
    assert tuple(rows[4][4 * depth : 4 * depth + 3]) == ((0x14, 0x17, 0x1A) if scheme == "dark" else (255, 255, 255))
    blue = bytes((0x1E, 0x88, 0xD0))
    assert sum(blue in bytes(row) for row in rows) > 50
    assert len({bytes(row) for row in rows}) > 300


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(page, width, tmp_path):
    measure = tmp_path / "measure.html"
    measure.write_text(
        f"<!doctype html><title>waiting</title><body><iframe id=f style='border:0;width:{width}px;height:900px' "
        f"srcdoc='{page.read_text('utf-8').replace(chr(38), '&amp;').replace(chr(39), '&#39;')}'></iframe><script>"
        "f.onload = () => { const inner = f.contentDocument.documentElement;"
        " document.title = `${inner.scrollWidth} ${f.contentDocument.title}`; };</script>",
        "utf-8",
    )
    shown = chromium(tmp_path, "--dump-dom", "--window-size=1400,900", measure.as_uri())
    found, title = shown.partition("<title>")[2].partition("</title>")[0].split()
    assert int(found) <= width
    assert title == "Searches"


def test_what_a_store_holds_is_not_run(page, tmp_path):
    document = chromium(tmp_path, "--dump-dom", page.as_uri())
    assert "<title>Searches</title>" in document
    assert "<script" not in document
    assert "<img" not in document
    assert document.count("<polyline") == 3
