"""The card of a search in a real browser: it shows what it should, and runs nothing that a model wrote."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from langchain_optscale import OptScale
from tests.unit_tests.fakes import PlainPolicy

ARTEFACTS = Path(__file__).parents[2] / "build" / "test-artefacts"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = "<script>document.title='taken over'</script><img src=x onerror=\"document.title='taken over'\">"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; Debian's package is `chromium`")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    texts = ["0.52", "0.61", f"0.58 {EVIL}", "broken", "0.66 A city that sleeps by a slow river.", "0.72", "0.69"]
    texts += ["0.63", "0.81 The Danube carries nine capitals' worth of gossip to the sea.", "0.74", "0.94 " + EVIL]
    policy = PlainPolicy(texts=texts)
    search = OptScale(
        policy=policy, verifier=lambda p, c: float(c.text.split()[0]), round_size=3, target=0.9, max_samples=11
    )
    card = search.invoke("q", {"max_concurrency": 1})._repr_html_()
    folder = tmp_path_factory.mktemp("card")
    for name, colours in {"light": "background:#fff;color:#111", "dark": "background:#111;color:#eee"}.items():
        page = f"<!doctype html><meta charset=utf-8><title>card</title><body style='margin:20px;{colours}'>{card}"
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


def chromium(tmp_path, *arguments):
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", profile, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=90).stdout  # noqa: S603


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_looks_like_a_card(pages, colours, tmp_path):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    picture = ARTEFACTS / f"card-{colours}.png"
    picture.unlink(missing_ok=True)
    chromium(tmp_path, f"--screenshot={picture}", "--window-size=820,760", (pages / f"{colours}.html").as_uri())
    width, height, rows = pixels(picture)
    assert (width, height) == (820, 760)
    # Something is drawn from top to bottom, and it is drawn in our colours.
    assert len({bytes(row) for row in rows}) > 150
    blue, orange = (0x1E, 0x88, 0xD0), (0xE0, 0x64, 0x1A)
    seen = {tuple(row[i : i + 3]) for row in rows for i in range(0, len(row), len(row) // width)}
    for colour in (blue, orange):  # lines are smoothed, so their colour is met nearly
        assert min(max(abs(a - b) for a, b in zip(colour, other, strict=True)) for other in seen) < 16


def test_what_a_model_wrote_is_not_run(pages, tmp_path):
    document = chromium(tmp_path, "--dump-dom", (pages / "light.html").as_uri())
    assert "<title>card</title>" in document
    assert document.count("<circle") == 10
    assert "failed" in document
    assert "<script" not in document
    assert "<img" not in document


def test_it_stays_small_however_long_the_answers_are(tmp_path):
    texts = [f"0.{number} {'A long word about the sea. ' * 400}{'x' * 500}" for number in range(10, 58)]
    search = OptScale(policy=PlainPolicy(texts=texts), verifier=lambda p, c: float(c.text.split()[0]), max_samples=48)
    card = search.invoke("q")._repr_html_()
    measure = "<script>const box = document.body.firstElementChild; document.title = `${box.scrollWidth} `"
    page = tmp_path / "long.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{card}{measure} + box.offsetHeight</script>", "utf-8")
    title = chromium(tmp_path, "--dump-dom", "--window-size=820,760", page.as_uri())
    width, height = map(int, title.partition("<title>")[2].partition("</title>")[0].split())
    assert width < 800
    assert height < 760


def pixels(path):
    """Width, height and the rows of an 8-bit RGB or RGBA PNG."""
    data = path.read_bytes()
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8
    size = {2: 3, 6: 4}[kind]
    packed, position = b"", 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            packed += data[position + 8 : position + 8 + length]
        position += length + 12
    raw, stride, rows = zlib.decompress(packed), width * size, []
    previous = bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        previous = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), previous, size)
        rows.append(previous)
    return width, height, rows


def _unfiltered(kind, row, above, size):
    """Undo one of the five filters of a PNG's row."""
    for i in range(len(row)):
        left = row[i - size] if i >= size else 0
        corner = above[i - size] if i >= size else 0
        guess = left + above[i] - corner
        nearest = min((left, above[i], corner), key=lambda value: abs(guess - value))
        row[i] = (row[i] + (0, left, above[i], (left + above[i]) // 2, nearest)[kind]) % 256
    return row
