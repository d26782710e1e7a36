"""Text with lone surrogates can be sent, as escapes."""

import json

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_openai import ChatOpenAI

from langchain_optscale import OptScale
from langchain_optscale.models.prompts import encodable_message, encodable_prompt
from tests.integration_tests.scripted_server import Reply, scripted_server

HALF = "a \ud800 river"
SHOWN = "a \\ud800 river"


def test_what_can_be_sent_is_the_same_object():
    prompt = ChatPromptValue(messages=[HumanMessage("plain"), AIMessage([{"type": "text", "text": "schön 😀"}])])
    assert encodable_prompt(prompt) is prompt
    assert encodable_prompt(StringPromptValue(text="é")).text == "é"


def test_every_part_that_is_sent():
    call = {"name": "f", "args": {"x": [HALF]}, "id": "1", "type": "tool_call"}
    message = AIMessage([{"type": "text", "text": HALF}], tool_calls=[call], name="b")
    sent = encodable_message(message)
    assert sent.content == [{"type": "text", "text": SHOWN}]
    assert sent.tool_calls[0]["args"] == {"x": [SHOWN]}
    assert message.content[0]["text"] == HALF
    prompt = encodable_prompt(ChatPromptValue(messages=[HumanMessage("q"), message]))
    json.dumps([one.content for one in prompt.to_messages()], ensure_ascii=False).encode()


@pytest.mark.attack("A model writes half a surrogate pair", "it is escaped wherever it is sent, shown or stored")
async def test_a_lone_surrogate_costs_nothing():
    half = FakeListChatModel(responses=[HALF])
    with scripted_server(lambda number, payload: Reply(["0.5"])) as server:
        model = ChatOpenAI(base_url=server.base_url, model="m", api_key="k", max_retries=0)

        def judge(prompt, candidate):
            return float(model.invoke(candidate.text).text)

        result = OptScale(policy=half, verifier=judge, max_samples=2, max_retries=0).invoke("q")
        assert result.text == HALF
        assert len(result.verdicts) == 2
        assert server.requests[0]["messages"][0]["content"] == SHOWN
        asked = await OptScale(policy=model, verifier=lambda p, c: 0.5, max_samples=1, max_retries=0).ainvoke(HALF)
        assert asked.score == 0.5
        assert server.requests[-1]["messages"][0]["content"] == SHOWN
    result._repr_html_().encode()
    assert json.loads(json.dumps(result.to_dict()))["candidates"][0]["message"]["data"]["content"] == HALF
