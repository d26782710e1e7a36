"""Pictures and cards of a search."""

import subprocess
import sys

import pytest

from langchain_optscale import OptScale
from tests.unit_tests.fakes import ScriptedPolicy, read_score


@pytest.fixture(scope="module")
def result():
    texts = ["0.5", "0.62", "<script>alert(1)</script>", "0.7", "0.66", "0.72", "0.69", "0.95", "0.4"]
    policy = ScriptedPolicy(texts=texts)
    return OptScale(policy=policy, verifier=read_score, target=0.9, round_size=2, max_samples=9).invoke("q")


def test_plot(result, tmp_path):
    figure = result.plot()
    scores, _, bound = figure.axes
    dots = next(line for line in scores.get_lines() if line.get_label() == "score")
    assert tuple(dots.get_ydata()) == tuple(verdict.score for verdict in result.verdicts.values())
    assert scores.get_ylabel() == "verifier's score"
    assert "candidates" in bound.get_xlabel()
    assert result.stop_reason.value in figure.get_suptitle().replace("\n", " ")
    figure.savefig(tmp_path / "search.png", dpi=100)
    assert (tmp_path / "search.png").stat().st_size > 10_000


def test_plot_of_a_search_without_a_bound(tmp_path):
    from langchain_optscale.stopping import MaxSamples

    policy = ScriptedPolicy(texts=["1.0"])
    result = OptScale(policy=policy, verifier=read_score, stopping=MaxSamples(2)).invoke("q")
    result.plot().savefig(tmp_path / "search.png")


def test_card_shows_and_escapes(result):
    card = result._repr_html_()
    assert "<script>" not in card
    assert "&lt;script&gt;" in card
    assert result.stop_reason.value in card
    assert card.count("<circle") == len(result.scores)
    assert card.count("<tr") == 2 + len(result.rounds) + len(result.verdicts) + len(result.failures)
    assert "target 0.9" in card
    for round_ in result.rounds:
        if (bound := round_.observations[-1].decision.optimal_n) is not None:
            assert f">{bound:,}</td>" in card


def test_card_of_a_search_without_a_target_or_a_bound():
    from langchain_optscale.stopping import MaxSamples

    card = OptScale(policy=ScriptedPolicy(texts=["0.5"]), verifier=read_score, stopping=MaxSamples(1)).invoke("q")
    assert "target" not in card._repr_html_()
    assert card._repr_html_().count("<circle") == 1


def test_without_matplotlib_the_error_names_the_command():
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "from langchain_optscale.engine.result_plot import plot_search\n"
        "try: plot_search(None)\n"
        "except ImportError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert 'pip install "langchain-optscale[plots]"' in out.stdout
