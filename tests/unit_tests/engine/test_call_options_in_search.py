"""What a search asks a policy for, by what each call takes."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError

from langchain_optscale import AllCandidatesFailed, OptScale, SettingsError
from langchain_optscale.models.single_choices import read_by_choice
from langchain_optscale.stopping import MaxSamples
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy

openai = pytest.importorskip("langchain_openai")


def search(policy: Any, **settings: Any) -> OptScale:
    given = {"verifier": lambda prompt, candidate: 0.5, "stopping": MaxSamples(4), "first_round": 4, "max_retries": 0}
    return OptScale(policy=policy, **(given | settings))


@pytest.mark.parametrize("bound", [{}, {"n": 3}])
def test_a_bound_number_of_choices_gives_way_to_the_search_s(bound: dict[str, Any]) -> None:
    policy = ScriptedPolicy(texts=["a", "b", "c", "d"], n=5)
    result = search(policy.bind(**bound)).invoke("q")
    assert [request["n"] for request in policy.requests] == [4]
    assert len(result.verdicts) == 4
    search(policy.bind(**bound), fanout="calls").invoke("q")
    assert [request["n"] for request in policy.requests[1:]] == [1] * 4


@pytest.mark.parametrize(
    "error",
    [TypeError("unexpected keyword argument 'n'"), ValueError("x"), KeyError("choices"), NotImplementedError("n")],
)
def test_any_lasting_error_of_a_request_for_several_choices_falls_back_to_single_ones(error: Exception) -> None:
    policy = ScriptedPolicy(texts=["a", "b", "c", "d"], errors={0: [error]})
    result = search(policy).invoke("q")
    assert len(result.verdicts) == 4
    assert [request.get("n", 1) for request in policy.requests] == [4, 1, 1, 1, 1]


@pytest.mark.parametrize("error", [ConnectionError("down"), SettingsError("no"), ContextOverflowError("too long")])
def test_what_a_single_request_would_meet_as_well_does_not(error: Exception) -> None:
    policy = ScriptedPolicy(texts=["a", "b"], errors={0: [error]})
    with pytest.raises(AllCandidatesFailed):
        search(policy).invoke("q")
    assert len(policy.requests) == 1


def test_the_seed_of_a_call_to_the_responses_api() -> None:
    policy = openai.ChatOpenAI(
        model="m", api_key="x", reasoning={"effort": "low"}, seed=3, base_url="http://127.0.0.1:9"
    )
    sampler = search(policy).sampler()
    assert (sampler.seeded, sampler.max_choices) == (False, 1)
    with pytest.raises(SettingsError, match="does not accept seeds"):
        search(policy, seed=1)
    with pytest.raises(SettingsError, match="fanout='n' needs a chat model that takes `n`"):
        search(policy, fanout="n")


def test_models_that_read_responses_in_another_way_are_left_alone() -> None:
    policy = PlainPolicy(texts=["a"])
    assert read_by_choice(policy) is policy
