"""One place retries: the clients under our requests do not; and what counts as one endpoint."""

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from langchain_optscale import AllCandidatesFailed, LLMJudge, OptScale, RewardModelVerifier
from langchain_optscale.engine.executor import concurrency_limits
from langchain_optscale.models.clients import endpoint_of, models_in, without_client_retries, without_client_retries_in
from langchain_optscale.models.policy import Policy
from langchain_optscale.verifiers import CachedVerifier, as_verifier
from tests.unit_tests.fakes import PlainPolicy, read_score

openai_chat = pytest.importorskip("langchain_openai").ChatOpenAI


def model(**kwargs):
    return openai_chat(**{"model": "m", "api_key": "none", "base_url": "http://127.0.0.1:9/v1"} | kwargs)


def retries_of(chat):
    return {
        chat.root_client.max_retries,
        chat.root_async_client.max_retries,
        chat.client._client.max_retries,
        chat.async_client._client.max_retries,
    }


def test_the_copy_does_not_retry_and_shares_the_connections():
    chat = model(max_retries=5)
    single = without_client_retries(chat)
    assert retries_of(single) == {0}
    assert retries_of(chat) == {5}
    assert single.root_client._client is chat.root_client._client
    assert single.root_async_client._client is chat.root_async_client._client
    assert single.root_client.api_key == "none"


def test_a_timeout_reaches_the_client():
    assert without_client_retries(model(), 7.0).root_async_client.timeout == 7.0
    assert Policy.of(model(), timeout_s=7.0).model.async_client._client.timeout == 7.0


def test_draws_use_the_copy_also_where_the_model_is_bound():
    assert retries_of(Policy.of(model().bind(stop=["x"])).model) == {0}
    assert retries_of(Policy.of(model(), eager=True).model) == {0}


def test_models_without_a_client_stay_as_they_are():
    plain = PlainPolicy(texts=["x"])
    assert without_client_retries(plain).model_dump() == plain.model_dump()


def test_a_field_is_set_where_there_is_no_client():
    class Other(PlainPolicy):
        max_retries: int = 6

    assert without_client_retries(Other(texts=["x"])).max_retries == 0


def test_the_judge_in_a_chain_does_not_retry_either():
    prompt = ChatPromptTemplate.from_template("rate {candidate}")
    chain = prompt | model().bind(stop=["!"]) | StrOutputParser() | float
    verifier = as_verifier(chain)
    (single,) = models_in(verifier._single)
    assert retries_of(single) == {0}
    (own,) = models_in(chain)
    assert retries_of(own) == {2}
    assert [type(step) for step in without_client_retries_in(chain).steps] == [type(step) for step in chain.steps]


def test_nor_does_the_policy_in_a_chain():
    prompt = ChatPromptTemplate.from_template("{question}")
    for chain in (
        prompt | model(),
        prompt | model().with_retry(stop_after_attempt=2),
        prompt | model().with_fallbacks([model(model="other"), prompt | model()]),
    ):
        drawing = Policy.of(chain).given
        assert type(drawing.steps[1]) is type(chain.steps[1])
        below = list(clients_below(drawing))
        assert len(below) == len(list(clients_below(chain)))
        assert {number for one in below for number in retries_of(one)} == {0}


def clients_below(runnable):
    """The chat models anywhere below, by a way that is not ours."""
    if isinstance(runnable, BaseChatModel):
        yield runnable
        return
    for name in type(runnable).model_fields if isinstance(runnable, BaseModel) else ():
        value = getattr(runnable, name)
        for part in value if isinstance(value, list) else [value]:
            yield from clients_below(part)


@pytest.mark.parametrize("method", ["auto", "text", "structured"])
def test_the_client_of_a_judge_does_not_retry(method):
    asked = []

    def down(request):
        asked.append(request)
        return httpx.Response(500, json={"error": {"message": "down"}})

    client = httpx.Client(transport=httpx.MockTransport(down))
    judge = LLMJudge(model(http_client=client), method=method)
    search = OptScale(policy=PlainPolicy(texts=["x"]), verifier=judge, max_samples=1, max_retries=1)
    with pytest.raises(AllCandidatesFailed, match="500"):
        search.invoke("q")
    assert len(asked) == 2


def test_judges_and_reward_models_at_one_endpoint_count_the_same_requests():
    judge = model()
    here = endpoint_of(LLMJudge(judge))
    assert endpoint_of(judge) == here
    assert endpoint_of(as_verifier(model())) == here
    assert endpoint_of(CachedVerifier(LLMJudge(judge, votes=3))) == here
    assert endpoint_of(LLMJudge(model(model="other"))) != here
    plain = PlainPolicy(texts=["x"])
    assert endpoint_of(LLMJudge(plain)) == endpoint_of(LLMJudge(plain.bind(stop=["x"])))
    assert endpoint_of(LLMJudge(plain)) != endpoint_of(LLMJudge(PlainPolicy(texts=["x"])))
    reward = RewardModelVerifier("http://127.0.0.1:9", "rm")
    assert endpoint_of(reward) == endpoint_of(RewardModelVerifier("http://127.0.0.1:9/v1", "rm", kind="pooling"))
    assert endpoint_of(reward) != endpoint_of(RewardModelVerifier("http://127.0.0.1:8", "rm"))
    ours = [
        concurrency_limits(OptScale(policy=plain, verifier=LLMJudge(model()), verifier_limit=3))[1] for _ in range(2)
    ]
    with ours[0].hold():
        assert ours[1].taken == 1


def test_endpoints():
    here = endpoint_of(model())
    assert endpoint_of(model(max_retries=9).bind(stop=["x"])) == here
    assert endpoint_of(as_verifier(ChatPromptTemplate.from_template("{prompt}") | model() | float)) == here
    assert endpoint_of(model(base_url="http://127.0.0.1:9/v1/")) == here
    assert endpoint_of(model(model="other")) != here
    assert endpoint_of(model(base_url="http://127.0.0.1:8/v1")) != here
    # A limit on a judge or a reward model holds for every object that asks it.
    judges = LLMJudge(model()), LLMJudge(model(max_retries=9).bind(stop=["x"]), method="text", votes=2)
    assert {endpoint_of(one) for one in (*judges, CachedVerifier(judges[0]))} == {here}
    assert endpoint_of(LLMJudge(PlainPolicy(texts=["x"]))) != endpoint_of(LLMJudge(PlainPolicy(texts=["x"])))
    rewards = [RewardModelVerifier(url, "rm") for url in ("http://h:1", "http://h:1/v1/", "http://h:2")]
    assert endpoint_of(rewards[0]) == endpoint_of(rewards[1]) != endpoint_of(rewards[2])
    assert endpoint_of(RewardModelVerifier("http://h:1", "other")) != endpoint_of(rewards[0])
    function = as_verifier(read_score)
    assert endpoint_of(function) == endpoint_of(function)
    assert endpoint_of(function) != endpoint_of(as_verifier(read_score))
    assert endpoint_of(PlainPolicy(texts=["x"])) != endpoint_of(PlainPolicy(texts=["x"]))


def test_a_verifier_may_name_its_endpoint():
    function = as_verifier(read_score)
    function.endpoint = "http://127.0.0.1:9/score"
    assert endpoint_of(function) == "http://127.0.0.1:9/score"
