"""What a search costs and saves."""

import json

import pytest

from langchain_optscale import ChatOptScale, LLMJudge, OptScale, OptScaleResult, Price, Saved, SettingsError
from langchain_optscale.engine.prices import known_prices
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.verifiers import CachedVerifier, EnsembleVerifier, LengthCheck
from tests.unit_tests.fakes import PlainPolicy, read_score

PRICE = Price(input=1e5, output=2e5)  # 0.1 a prompt token, 0.2 a generated one; a draw has 10 and 5: 2.0
TEXTS = ["0.2", "0.3", "0.95", "0.4"]


def search(policy=None, verifier=read_score, **settings):
    return OptScale(policy=policy or PlainPolicy(texts=TEXTS), verifier=verifier, **settings)


def test_price_gives_the_cost_without_a_budget():
    result = search(price=PRICE, stopping=MaxSamples(3)).invoke("q")
    assert result.cost == pytest.approx(6.0)
    assert result.summary()["cost"] == result.cost


def test_without_prices_there_is_no_cost():
    result = search(stopping=MaxSamples(3)).invoke("q")
    assert result.cost is None
    assert result.saved.cost is None


def test_saved_against_best_of_n_at_the_cap():
    result = search(price=PRICE, max_samples=12, round_size=1, target=0.9).invoke("q")
    drawn = len(result.candidates)
    assert drawn < 12
    # Each of the others would have cost the mean of those drawn: 15 tokens, 2.0.
    assert result.saved == Saved(12 - drawn, 12, 15 * (12 - drawn), pytest.approx(2.0 * (12 - drawn)))
    assert result.summary()["saved"]["cap"] == 12


def test_the_assumption_is_stated_wherever_it_is_shown():
    result = search(price=PRICE, max_samples=12, round_size=1).invoke("q")
    for shown in (str(result.saved), result._repr_html_()):
        assert "best-of-12" in shown
        assert "if each had cost the mean of those drawn" in shown
    assert f"cost {result.cost:.4g}" in result._repr_html_()


def test_the_whole_cap_saves_nothing():
    result = search(stopping=MaxSamples(4), price=PRICE).invoke("q")
    assert result.saved == Saved(0, 4, 0, 0.0)
    assert "best-of" not in result._repr_html_()


def test_cost_and_savings_survive_json():
    result = search(price=PRICE, max_samples=12).invoke("q")
    read = OptScaleResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert (read.cost, read.saved) == (result.cost, result.saved)


def test_a_record_of_an_earlier_version_has_neither():
    data = search().invoke("q").to_dict()
    del data["cost"], data["saved"]
    read = OptScaleResult.from_dict(data)
    assert (read.cost, read.saved) == (None, None)


def test_the_message_tells_the_bill():
    model = ChatOptScale(policy=PlainPolicy(texts=TEXTS), verifier=read_score, price=PRICE, stopping=MaxSamples(3))
    about = model.invoke("q").response_metadata["optscale"]
    assert about["cost"] == pytest.approx(6.0)
    assert about["saved"] == {"candidates": 0, "cap": 3, "tokens": 0, "cost": 0.0}


PROFILE = {"cost": {"input": 1e5, "output": 2e5, "cache_read": 1.0}}


# LangChain warns of fields that its own profiles do not have so far.
@pytest.mark.filterwarnings("ignore:Unrecognized keys in model profile")
class TestProfiles:
    def policy(self, profile):
        return PlainPolicy(texts=TEXTS, profile=profile)

    def test_the_price_of_a_profile_is_taken(self):
        result = search(self.policy(PROFILE), stopping=MaxSamples(2)).invoke("q")
        assert result.cost == pytest.approx(4.0)

    def test_a_cost_budget_takes_it_too(self):
        result = search(self.policy(PROFILE), cost_budget=4.0, round_size=1, target=1.0).invoke("q")
        assert result.stop_reason.name == "COST_BUDGET"

    def test_price_takes_precedence(self):
        result = search(self.policy(PROFILE), stopping=MaxSamples(2), price=Price(request=1.0)).invoke("q")
        assert result.cost == 2.0

    def test_bound_models_and_judges_count(self):
        judge = LLMJudge(PlainPolicy(texts=["x"], profile=PROFILE), method="text")
        cached = {"policy": 10, "verifier": 0}
        assert judge.model.profile == PROFILE
        result = search(self.policy(PROFILE).bind(stop=["."]), stopping=MaxSamples(1)).invoke("q")
        assert result.cost == pytest.approx(2.0)
        assert cached["policy"] == result.usage["policy"].input_tokens

    def test_a_judge_without_a_price_leaves_the_cost_unknown(self):
        judging = PlainPolicy(texts=["0.5"])
        from langchain_core.output_parsers import StrOutputParser
        from langchain_core.runnables import RunnableLambda

        verifier = RunnableLambda(lambda asked: asked["candidate"]) | judging | StrOutputParser() | float
        result = search(self.policy(PROFILE), verifier, stopping=MaxSamples(1)).invoke("q")
        assert result.usage["verifier"].requests == 1
        assert result.cost is None

    def test_models_of_a_verifier_s_members_count(self):
        judge = LLMJudge(PlainPolicy(texts=["0.5"], profile=PROFILE), method="text")
        both = EnsembleVerifier([CachedVerifier(judge), LengthCheck(at_most=99)])
        assert known_prices(None, self.policy(PROFILE), both) == dict.fromkeys(("policy", "verifier"), Price(1e5, 2e5))
        dearer = LLMJudge(self.policy({"cost": {"input": 3e5, "output": 2e5}}), method="text")
        assert set(known_prices(None, self.policy(PROFILE), EnsembleVerifier([judge, dearer]))) == {"policy"}

    def test_what_a_candidate_must_be_worth_stands_beside_a_cost_budget(self):
        result = search(self.policy(PROFILE), cost_budget=4.0, round_size=1, price=1e-9).invoke("q")
        assert result.stop_reason.name == "COST_BUDGET"
        with pytest.raises(SettingsError, match=r"give price=Price\(...\) with stopping=optscale\(price=0.5\)"):
            search(self.policy(None), cost_budget=4.0, price=0.5)

    @pytest.mark.parametrize(
        "profile", [None, {}, {"cost": 3}, {"cost": {"input": 1.0}}, {"cost": {"input": -1, "output": 1}}]
    )
    def test_no_price_is_invented(self, profile):
        assert search(self.policy(profile), stopping=MaxSamples(1)).invoke("q").cost is None


def test_bad_prices_are_refused_at_once():
    with pytest.raises(SettingsError, match="there is no role 'judge' to price"):
        search(price={"judge": PRICE})
