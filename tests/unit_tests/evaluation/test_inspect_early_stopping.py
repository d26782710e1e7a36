"""Objects of the shape of Inspect's; the package itself is tested in tests/integration_tests/evaluators."""

import asyncio
import sys
import types
from dataclasses import dataclass, field
from typing import Any

import pytest

from langchain_optscale.errors import MissingExtraError, SettingsError
from langchain_optscale.evaluation.inspect_early_stopping import InspectEarlyStopping
from langchain_optscale.stopping import MaxSamples, TargetReached


@dataclass
class Score:
    value: Any
    answer: str | None = None
    explanation: str | None = None


@dataclass
class SampleScore:
    score: Score


@dataclass
class Sample:
    id: str


@dataclass
class EarlyStop:
    id: str
    epoch: int
    reason: str | None = None
    metadata: dict = field(default_factory=dict)


@pytest.fixture(autouse=True)
def inspect(monkeypatch):
    util = types.ModuleType("inspect_ai.util")
    util.EarlyStop = EarlyStop
    monkeypatch.setitem(sys.modules, "inspect_ai", types.ModuleType("inspect_ai"))
    monkeypatch.setitem(sys.modules, "inspect_ai.util", util)


def run(stopping, scores, epochs=8, scorer="match"):
    """The epochs of each sample that ran, and the stops of the others; one after another."""

    async def everything():
        assert await stopping.start_task(None, [Sample(name) for name in scores], epochs) == "optscale"
        ran, stops = {name: [] for name in scores}, []
        for epoch in range(1, epochs + 1):
            for name, of_epochs in scores.items():
                stop = await stopping.schedule_sample(name, epoch)
                if stop is not None:
                    stops.append(stop)
                    continue
                ran[name].append(epoch)
                score = SampleScore(Score(of_epochs[(epoch - 1) % len(of_epochs)]))
                await stopping.complete_sample(name, epoch, {scorer: score})
        return ran, stops, await stopping.complete_task()

    return asyncio.run(everything())


def test_a_sample_ends_by_its_own_scores():
    stopping = InspectEarlyStopping(TargetReached(1.0) | MaxSamples(8))
    ran, stops, summary = run(stopping, {"a": ["I", "C"], "b": ["C"], "c": ["I"], "d": ["P"]})
    assert ran == {"a": [1, 2], "b": [1], "c": list(range(1, 9)), "d": list(range(1, 9))}
    assert {(stop.id, stop.epoch) for stop in stops} == {
        *(("a", epoch) for epoch in range(3, 9)),
        *(("b", epoch) for epoch in range(2, 9)),
    }
    assert stops[0].metadata["best"] == 1
    reason = "a candidate reached the target score"
    assert summary == {"completed_epochs": 19, "skipped_epochs": 13, "reasons": {reason: 13}}


def test_the_default_rule_ends_a_sample_that_is_always_right():
    ran, _, _ = run(InspectEarlyStopping(), {"a": ["C"], "b": ["I", "C", "I", "I", "P"]}, epochs=16)
    assert len(ran["a"]) < 8


def test_an_epoch_without_a_score_is_a_failure():
    stopping = InspectEarlyStopping(TargetReached(1.0) | MaxSamples(4))
    ran, _, _ = run(stopping, {"a": [float("nan"), "excellent", None, "C"]}, epochs=6)
    assert ran["a"] == [1, 2, 3, 4]


def test_named_values_and_scales():
    values = {"a": [{"right": 7, "short": 0}, {"right": 10, "short": 0}]}
    stopping = InspectEarlyStopping(TargetReached(1.0), metric="right", rescale=lambda score: score / 10)
    assert run(stopping, values)[0] == {"a": [1, 2]}
    with pytest.raises(SettingsError, match="choose one"):
        run(InspectEarlyStopping(), values)


def test_an_epoch_that_is_run_again_counts_once():
    stopping = InspectEarlyStopping(MaxSamples(2))

    async def twice():
        await stopping.start_task(None, [Sample("a")], 8)
        for epoch in (1, 1, 1):
            await stopping.complete_sample("a", epoch, {"match": SampleScore(Score("C"))})
        return await stopping.schedule_sample("a", 2)

    assert asyncio.run(twice()) is None


def test_a_task_begins_anew():
    stopping = InspectEarlyStopping(TargetReached(1.0))
    for _ in range(2):
        assert run(stopping, {"a": ["I", "C"]})[0] == {"a": [1, 2]}


def test_several_scorers():
    async def complete(stopping):
        await stopping.start_task(None, [Sample("a")], 8)
        scores = {"match": SampleScore(Score("I")), "f1": SampleScore(Score(1.0))}
        await stopping.complete_sample("a", 1, scores)
        return await stopping.schedule_sample("a", 2)

    with pytest.raises(SettingsError, match="the scorers f1, match: name the one"):
        asyncio.run(complete(InspectEarlyStopping()))
    with pytest.raises(SettingsError, match="no scorer 'other'"):
        asyncio.run(complete(InspectEarlyStopping(scorer="other")))
    assert asyncio.run(complete(InspectEarlyStopping(TargetReached(1.0), scorer="f1"))) is not None
    assert asyncio.run(complete(InspectEarlyStopping(TargetReached(1.0), scorer="match"))) is None


def test_without_inspect(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.util", None)
    with pytest.raises(MissingExtraError, match="pip install --upgrade inspect-ai"):
        run(InspectEarlyStopping(TargetReached(0.0)), {"a": ["C"]})


def test_a_rule_that_is_none_is_refused():
    with pytest.raises(SettingsError, match="stopping must be a rule"):
        InspectEarlyStopping(stopping=0.9)
