"""Inspect's scorers as verifiers, and a stopping rule behind its early stopping."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from inspect_ai import Epochs, Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, accuracy, exact, f1, includes, match, model_graded_qa, pattern, scorer
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale.errors import InvalidScoreError, SettingsError
from langchain_optscale.evaluation.inspect_early_stopping import InspectEarlyStopping
from langchain_optscale.stopping import MaxSamples, TargetReached
from langchain_optscale.verifiers import EvaluatorVerifier, as_verifier
from langchain_optscale.verifiers.conformance import make_candidate


def output(text):
    made = ModelOutput.from_content("mockllm/model", text)
    made.usage = ModelUsage(input_tokens=5, output_tokens=2, total_tokens=7)
    return made


def model(answer):
    return get_model("mockllm/model", custom_outputs=lambda *args: output(answer()), memoize=False)


@pytest.mark.parametrize("make", [match, includes, exact, f1, lambda: pattern("(Paris|Lyon)")])
def test_scorers(score, make):
    assert score(make(), reference="Paris").score == 1
    assert score(make(), "Lyon", reference="Paris").score == 0


def test_several_targets(score):
    assert score(match(), reference=["Lutetia", "Paris"]).score == 1


def test_a_graded_one(score):
    verdict = score(
        model_graded_qa(model=model(lambda: "It is right.\nGRADE: P"), partial_credit=True), reference="Paris"
    )
    assert (verdict.score, verdict.explanation) == (0.5, "It is right.\nGRADE: P")
    assert verdict.usage.to_dict() == {"input_tokens": 5, "output_tokens": 2, "requests": 1}


@scorer(metrics={"right": [accuracy()], "short": [accuracy()]})
def named():
    async def scored(state, target):
        return Score(value={"right": 0.5, "short": True}, explanation="both")

    return scored


@scorer(metrics=[accuracy()])
def unscored():
    async def scored(state, target):
        return Score.unscored(reason="grader_failed", explanation="no grade")

    return scored


@scorer(metrics=[accuracy()])
def lettered():
    async def scored(state, target):
        return Score(value="excellent")

    return scored


def test_a_scorer_sees_the_steps_of_a_run():
    seen = []

    @scorer(metrics=[accuracy()])
    def steps():
        async def scored(state, target):
            seen.extend(
                (message.role, message.text, [(call.function, call.arguments) for call in message.tool_calls or ()])
                if message.role == "assistant"
                else (message.role, message.text, getattr(message, "tool_call_id", None))
                for message in state.messages
            )
            return Score(value=1)

        return scored

    call = {"name": "look_up", "args": {"country": "France"}, "id": "1", "type": "tool_call"}
    steps_of_run = [
        HumanMessage("q"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("Paris", tool_call_id="1"),
        AIMessage("P"),
    ]
    run_of_agent = replace(make_candidate("P"), state={"messages": steps_of_run})
    assert as_verifier(steps()).verify(ChatPromptValue(messages=steps_of_run[:1]), run_of_agent).score == 1
    assert seen == [
        ("user", "q", None),
        ("assistant", "", [("look_up", {"country": "France"})]),
        ("tool", "Paris", "1"),
        ("assistant", "P", []),
    ]


def test_named_values(score):
    with pytest.raises(SettingsError, match="'right', 'short'"):
        score(named())
    assert score(EvaluatorVerifier(named(), metric="right")).score == 0.5
    assert score(EvaluatorVerifier(named(), weights={"right": 1, "short": 3})).score == 0.875


def test_what_is_no_score(score):
    with pytest.raises(InvalidScoreError, match="gave no score: no grade"):
        score(unscored())
    with pytest.raises(InvalidScoreError, match="'excellent'"):
        score(lettered())
    with pytest.raises(SettingsError, match=r"call it, as in verifier=match\(\)"):
        score(match)


def run(stopping, tmp_path, **settings):
    coin = random.Random(0)
    samples = [Sample(id=number, input=f"What is 2 + 2? ({number})", target="4") for number in range(8)]
    task = Task(samples, scorer=match(), epochs=Epochs(16, "max"), early_stopping=stopping)
    (log,) = evaluate(
        task,
        model=model(lambda: "4" if coin.random() < 0.5 else "5"),
        max_samples=1,
        display="none",
        log_dir=str(tmp_path),
        **settings,
    )
    assert log.status == "success", log.error
    return log


def test_the_epochs_of_a_sample_end_at_its_first_right_answer(tmp_path):
    stopping = InspectEarlyStopping(TargetReached(1.0) | MaxSamples(16))
    log = run(stopping, tmp_path)
    epochs = {}
    for sample in log.samples:
        epochs.setdefault(sample.id, []).append(sample.scores["match"].value)
    # One right answer each, and it is the last epoch that ran.
    for values in epochs.values():
        assert values.count("C") == 1
        assert values[-1] == "C"
    assert log.results.scores[0].metrics["accuracy"].value == 1
    summary = log.results.early_stopping
    assert summary.manager == "optscale"
    assert summary.metadata["completed_epochs"] == len(log.samples) < 8 * 16
    assert summary.metadata["completed_epochs"] + summary.metadata["skipped_epochs"] == 8 * 16
    assert {stop.reason for stop in summary.early_stops} == {"a candidate reached the target score"}
    assert all(stop.metadata["best"] == 1 for stop in summary.early_stops)


def test_the_block_of_the_documentation_runs(tmp_path, monkeypatch):
    """As it stands there, but for the model, whose key nobody has here."""
    page = (Path(__file__).parents[3] / "docs" / "evaluators.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    assert '"openai/gpt-5-mini"' in block
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    names = {"stand_in": model(lambda: "4")}
    exec(compile(block.replace('"openai/gpt-5-mini"', "stand_in"), "evaluators.md", "exec"), names)  # noqa: S102
    (log,) = names["logs"]
    assert log.status == "success", log.error
    assert 2 <= len(log.samples) < 2 * 32


def test_the_default_rule(tmp_path):
    log = run(InspectEarlyStopping(), tmp_path)
    assert len(log.samples) < 8 * 16 / 2
    assert log.results.scores[0].metrics["accuracy"].value >= 7 / 8


def test_without_a_rule_that_stops_all_epochs_run(tmp_path):
    log = run(InspectEarlyStopping(MaxSamples(16)), tmp_path)
    assert len(log.samples) == 8 * 16
