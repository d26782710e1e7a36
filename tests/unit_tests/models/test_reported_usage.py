"""Usage that a server reports and that cannot be right, on a real client and a server on loopback."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

from langchain_optscale import LLMJudge, OptScale, OptScaleResult, StopReason, Usage, optscale
from langchain_optscale.models.token_usage import Estimation, Reported, choice_usages
from langchain_optscale.stopping import CostBudget, Price

WORDS = 300
TEXT = "word " * WORDS
MISSING = object()
LOGGER = "langchain_optscale.models.token_usage"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.usage = MISSING
        self.requests = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def model(self, **settings):
        url = f"http://127.0.0.1:{self.server_port}/v1"
        return ChatOpenAI(base_url=url, model="m", api_key="k", **settings)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        choices = [
            {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
            for i in range(asked.get("n") or 1)
        ]
        reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
        if self.server.usage is not MISSING:
            reply["usage"] = self.server.usage
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


def counts(prompt, completion, total=None, **more):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total or 1, **more}


WRONG = {
    "text": counts("5", "x"),
    "negative": counts(-5, -500, -505),
    "huge": counts(5, 10**30),
    "a fraction": counts(5, 7.5),
    "far fewer tokens than words": counts(5, 1),
}
UNKNOWN = {"missing": MISSING, "null": None, "zero": counts(0, 0), "empty": {}}


def search(policy, **settings):
    one_at_a_time = {"max_samples": 6, "first_round": 1, "round_size": 1, "max_retries": 0}
    return OptScale(policy=policy, **{"verifier": lambda prompt, candidate: 0.5, **one_at_a_time, **settings})


@pytest.mark.attack("A server reports negative, huge or no numbers of tokens, or text", "estimated; budgets hold")
@pytest.mark.parametrize("fanout", ["calls", "n"])
@pytest.mark.parametrize("usage", [*WRONG.values(), *UNKNOWN.values()], ids=[*WRONG, *UNKNOWN])
def test_a_token_budget_holds(server, caplog, usage, fanout):
    server.usage = usage
    with caplog.at_level(logging.WARNING, LOGGER):
        result = search(server.model(), token_budget=100, fanout=fanout).invoke("q")
    assert result.stop_reason is StopReason.TOKEN_BUDGET
    assert len(result.candidates) == 1
    assert WORDS <= result.usage["policy"].output_tokens <= 2 * WORDS
    assert result.usage["policy"].input_tokens >= 1
    told = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert len(told) == 1
    assert "the policy m reports" in told[0]
    # The record can be read back, whatever the message said.
    assert OptScaleResult.from_dict(json.loads(json.dumps(result.to_dict()))).usage == result.usage


def test_text_that_is_a_number_is_one(server, caplog):
    server.usage = counts("12", "420", "432")
    result = search(server.model(), max_samples=1).invoke("q")
    assert result.usage["policy"] == Usage(12, 420, 1)
    assert result.message.usage_metadata["total_tokens"] == 432
    assert not caplog.records


def test_what_is_missing_counts_nothing_without_a_budget(server, caplog):
    result = search(server.model(), max_samples=2).invoke("q")
    assert result.usage["policy"] == Usage(requests=2)
    assert not [record for record in caplog.records if record.name == LOGGER]


@pytest.mark.parametrize(
    "settings",
    [
        {"cost_budget": 0.01, "price": Price(output=100.0)},
        {"stopping": optscale(0.9) | CostBudget(0.01, Price(output=100.0))},
    ],
    ids=["setting", "rule"],
)
def test_a_cost_budget_holds(server, settings):
    result = search(server.model(), **settings).invoke("q")
    assert result.stop_reason is StopReason.COST_BUDGET
    assert len(result.candidates) == 1


async def test_a_budget_holds_on_the_async_path_and_in_streams(server):
    server.usage = counts(-1, -1, -1)
    result = await search(server.model(), token_budget=100).ainvoke("q")
    assert len(result.candidates) == 1

    def answer(messages):
        message = AIMessage(TEXT)
        message.usage_metadata = {"input_tokens": -1, "output_tokens": "x", "total_tokens": None}
        return message

    plain = RunnableLambda(answer)
    assert len((await search(plain, token_budget=100).ainvoke("q")).candidates) == 1


@pytest.mark.parametrize("usage", [MISSING, counts(-5, -500)], ids=["missing", "negative"])
def test_a_budget_holds_for_what_judges_use(server, usage, caplog):
    # The judge's reply holds no grade, so that each verification is one request that fails.
    server.usage = usage
    judge = LLMJudge(server.model(), method="text")
    policy = FakeListChatModel(responses=["short"])
    one = search(policy, verifier=judge, token_budget=200, max_samples=8, stopping=None)
    with pytest.raises(Exception, match="no candidate could be scored"):
        one.invoke("q")
    assert server.requests < 8


def test_details_that_are_no_counts_are_left_out():
    message = AIMessage("a")
    message.usage_metadata = {
        "input_tokens": 9,
        "output_tokens": 1,
        "total_tokens": 10,
        "input_token_details": {"cache_read": 4, "audio": -1, "x": "y"},
        "output_token_details": [],
    }
    (usage,) = choice_usages([message])
    assert usage == Usage(9, 1, 1, {"cache_read": 4})
    assert not Reported.of([message], None).is_as_sent


def test_one_owner_is_warned_once(caplog):
    owner, other = Owner(), Owner()
    for whom in (owner, owner, other):
        Estimation(whom, "the server", lambda: 4, fills_gaps=True).warn("reports no usage")
    assert len(caplog.records) == 2


class Owner:
    """What can be watched weakly."""
