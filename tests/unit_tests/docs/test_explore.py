"""The page that replays searches in the browser decides as the package does, on the same scores in the same order."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
from scipy.stats import truncnorm

from docs import explore_pools
from langchain_optscale.evaluation.methods import SessionMethod
from langchain_optscale.evaluation.samples import Question, Sample
from langchain_optscale.records.decisions import StopReason
from langchain_optscale.stats import MaximumLikelihood, optimal_n
from langchain_optscale.stopping import optscale

ROOT = Path(__file__).parents[3]
CAP = 32
WHY = {
    "cap": StopReason.MAX_SAMPLES,
    "price": StopReason.MARGINAL_GAIN,
    "reach": StopReason.FUTILITY,
    "target": StopReason.TARGET_REACHED,
}
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

# Asks the page's functions: for each pool and setting the scores, the searches and the means; and fits of score lists.
ASK = """
const page = require(process.argv[1]);
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const replays = asked.settings.map(([name, settings]) => {
  const found = page.replay(asked.pools[name], settings);
  found.scores = asked.pools[name].map((one, place) => page.question(one, place, settings.quality).scores);
  return found;
});
const fits = asked.fits.map((scores) => {
  const law = page.fit(scores);
  return {law, least: page.optimalN(law, asked.target, asked.confidence)};
});
process.stdout.write(JSON.stringify({replays, fits}));
"""


def settings(target=None, confidence=0.95, price=0.065, quality=0.0):
    return {"target": target, "confidence": confidence, "price": price, "quality": quality}


SETTINGS = [
    *(
        (name, one)
        for name in explore_pools.NAMES
        for one in (settings(), settings(price=0.01), settings(price=0.2), settings(0.9), settings(0.8, 0.5))
    ),
    ("arithmetic_x64", settings(quality=-1.0)),
    ("arithmetic_x64", settings(quality=-0.5)),
    ("arithmetic_x64", settings(quality=0.5)),
    ("arithmetic_x64", settings(quality=1.0)),
]
FITS = [
    [0.62, 0.71, 0.55, 0.8],
    [0.1, 0.9, 0.35, 0.5, 0.5, 0.42],
    [0.95, 0.9, 0.99, 0.97],
    [0.05, 0.02, 0.3],
    [0.7, 0.7, 0.7],
    [0.2, 0.8],
]


def ask(*, settings=(), fits=(), target=0.9, confidence=0.95):
    asked = {
        "pools": explore_pools.excerpt(),
        "settings": settings,
        "fits": fits,
        "target": target,
        "confidence": confidence,
    }
    done = subprocess.run(  # noqa: S603 - our own script
        [NODE, "-e", ASK, str(ROOT / "docs" / "js" / "explore.js")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def replays():
    return ask(settings=SETTINGS)["replays"]


@pytest.mark.parametrize("place", range(len(SETTINGS)), ids=[f"{name}-{one}" for name, one in SETTINGS])
def test_searches_are_those_of_the_package(replays, place):
    _, given = SETTINGS[place]
    shown = replays[place]
    rule = optscale(given["target"], given["confidence"], CAP, price=given["price"] / CAP)
    method = SessionMethod(rule, "default")
    blocks = [scores[start : start + CAP] for scores in shown["scores"] for start in range(0, len(scores), CAP)]
    assert len(shown["searches"]) == len(blocks) >= 160
    for search, scores in zip(shown["searches"][::5], blocks[::5], strict=True):
        samples = tuple(Sample(score=score) for score in scores)
        outcome = method.run(Question("q", "?", samples), CAP)
        assert (search["drawn"], search["chosen"]) == (outcome.drawn, outcome.chosen)
        assert outcome.stop_reason is WHY[search["why"]]


@pytest.mark.parametrize("place", range(len(SETTINGS)))
def test_means_are_those_of_the_searches_and_of_the_recorded_candidates(replays, place):
    name, _ = SETTINGS[place]
    shown, pool = replays[place], explore_pools.excerpt()[name]
    worths = [[*map(int, one["right"])] if "right" in one else [s / 1000 for s in one["scores"]] for one in pool]
    blocks = [worth[start : start + CAP] for worth in worths for start in range(0, len(worth), CAP)]
    chosen = [worth[search["chosen"]] for search, worth in zip(shown["searches"], blocks, strict=True)]
    assert shown["worth"] == pytest.approx(math.fsum(chosen) / len(chosen))
    assert shown["samples"] == pytest.approx(sum(one["drawn"] for one in shown["searches"]) / len(blocks))
    assert shown["curve"][0] == pytest.approx(math.fsum(worth[0] for worth in blocks) / len(blocks))


def test_a_better_verifier_is_better(replays):
    by_quality = {
        one["quality"]: shown for (name, one), shown in zip(SETTINGS, replays, strict=True) if _plain(name, one)
    }
    qualities = sorted(by_quality)
    assert qualities == [-1.0, -0.5, 0.0, 0.5, 1.0]
    preferences = [by_quality[quality]["preference"] for quality in qualities]
    assert preferences == sorted(preferences)
    assert preferences[0] == pytest.approx(0.5, abs=0.03)
    # At its best no wrong candidate of a question scores higher than a right one; equal scores stay equal.
    for one, scores in zip(explore_pools.excerpt()["arithmetic_x64"], by_quality[1.0]["scores"], strict=True):
        right = [score for score, flag in zip(scores, one["right"], strict=True) if flag == "1"]
        wrong = [score for score, flag in zip(scores, one["right"], strict=True) if flag == "0"]
        assert sorted(scores) == sorted(score / 1000 for score in one["scores"])
        assert min(right, default=1.0) >= max(wrong, default=0.0)
    worths = [by_quality[quality]["worth"] for quality in qualities]
    assert worths[0] < worths[2] < worths[4]


def _plain(name, one):
    return name == "arithmetic_x64" and (one["target"], one["price"]) == (None, 0.065)


@pytest.mark.parametrize("scores", FITS, ids=str)
def test_the_fitted_law_has_the_highest_likelihood(scores):
    (found,) = ask(fits=[scores])["fits"]
    ours = MaximumLikelihood()(scores)

    def likelihood(mu, sigma):
        return truncnorm.logpdf(scores, -mu / sigma, (1 - mu) / sigma, loc=mu, scale=sigma).sum()

    law = found["law"]
    assert likelihood(law["mu"], law["sigma"]) == pytest.approx(likelihood(ours.mu, ours.sigma), abs=1e-4)
    least = optimal_n(ours.mu, ours.sigma, target=0.9, confidence=0.95, max_n=10**12)
    if found["least"] is None or least >= 10**12:
        assert found["least"] is None  # JSON has no infinity
        assert least > 10**10
    else:
        assert found["least"] == pytest.approx(least, rel=0.01, abs=1)


def test_the_page_has_the_recorded_candidates():
    page = explore_pools.embedded((ROOT / "docs" / "concepts" / "explore.md").read_text(encoding="utf-8"))
    data = page.partition('id="explore-pools">')[2].partition("</script>")[0]
    assert json.loads(data) == explore_pools.excerpt()
    assert len(data) < 200_000
    assert explore_pools.embedded("# Another page") == "# Another page"
