"""A server on loopback that answers as vLLM 0.32 does; the real one is tested in tests/integration_tests/vllm."""

import asyncio
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_optscale import LLMJudge, OptScale, PairwiseJudge
from langchain_optscale.errors import InvalidReplyError, SettingsError
from langchain_optscale.models.http_clients import chat_model
from langchain_optscale.verifiers.conformance import make_candidate
from langchain_optscale.verifiers.llm_judge.judge import JudgeExample

pytest.importorskip("langchain_openai")
PROMPT = ChatPromptValue(messages=[HumanMessage("What is the capital of France?")])
MASS = 0.9


class Vllm(BaseHTTPRequestHandler):
    """Likes Paris. Tokens are characters, and labels one token each."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        return

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, body, self.headers.get("authorization")))
        status, reply = self.server.answers.get(self.path, (404, {"detail": "Not Found"}))
        if callable(reply):
            reply = reply(body)
        sent = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)


def likes(text):
    """The share of the best label."""
    return 0.75 if "Paris" in text.rpartition("ANSWER")[0] else 0.25


def systemone(body):
    (question,) = body["questions"].values()
    best = likes(body["state"])
    if question["type"] == "noul":
        answer = {"type": "noul", "noul": best, "probabilities": {"yes": best, "no": 1 - best}}
    else:
        names = list(question["criteria"])
        shares = dict.fromkeys(names, 0.0) | {names[-1]: best, names[0]: 1 - best}
        answer = {"type": question["type"], "probabilities": shares}
    return {
        "answers": {"grade": answer},
        "usage": {"input_tokens": 40, "output_tokens": 1},
        "diagnostics": {"grade": {"label_mass": MASS, "argmax_is_label": True}},
    }


def tokenize(body):
    text = "".join(f"<{turn['role']}>{turn['content']}" for turn in body["messages"] if turn["role"] != "assistant")
    label = [ord(turn["content"][0]) for turn in body["messages"] if turn["role"] == "assistant"]
    return {"tokens": [*map(ord, text), *label]}


def scoring(body):
    text = "".join(map(chr, [*body["query"], *body["items"][0]]))
    letter = chr(body["label_token_ids"][0])
    best = likes(text)
    options = [line[0] for line in text.splitlines() if line[1:3] == ": " and line[0].isupper()] or ["n", "y"]
    share = {options[-1]: best, options[0]: 1 - best}.get(letter, 0.0)
    assert body["apply_softmax"] is False
    return {"data": [{"index": 0, "score": MASS * share}], "usage": {"prompt_tokens": 40, "completion_tokens": 1}}


def first_token(body):
    """A chat completion of one token, with the probabilities that were asked for."""
    text = "".join(turn["content"] for turn in body["messages"])
    best = likes(text)
    options = [line[0] for line in text.splitlines() if line[1:3] == ": " and line[0].isupper()] or ["n", "y"]
    shares = {options[-1]: best, options[0]: 1 - best}
    listed = [
        {
            "token": f"token_id:{number}",
            "logprob": math.log(MASS * shares[chr(number)]) if chr(number) in shares else -99,
        }
        for number in body["logprob_token_ids"]
    ]
    assert (body["max_tokens"], body["return_tokens_as_token_ids"]) == (1, True)
    usage = {"prompt_tokens": 40, "completion_tokens": 1}
    return {"choices": [{"logprobs": {"content": [{**listed[0], "top_logprobs": listed}]}}], "usage": usage}


def first_token_alone(body):
    """The same of a server that ignores `logprob_token_ids`."""
    content = [{"token": "y", "logprob": -0.1, "top_logprobs": []}]
    return {"choices": [{"logprobs": {"content": content}}], "usage": {"prompt_tokens": 40, "completion_tokens": 1}}


NEW = {"/v1/systemone": (200, systemone)}
OTHER_MODEL = {
    "/v1/systemone": (501, {"error": {"message": "The model does not support the structured decision API"}}),
    "/tokenize": (200, tokenize),
    "/v1/chat/completions": (200, first_token),
}
OLD = {
    **OTHER_MODEL,
    "/v1/chat/completions": (200, first_token_alone),
    "/generative_scoring": (200, scoring),
}


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Vllm)
    made.requests, made.answers = [], dict(NEW)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def judge(server, **settings):
    model = chat_model(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="sk-own", model="m")
    return LLMJudge(model, method="labels", **settings)


def graded(judge, answer="Paris", path="sync"):
    candidate = make_candidate(answer)
    return judge.verify(PROMPT, candidate) if path == "sync" else asyncio.run(judge.averify(PROMPT, candidate))


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize(
    ("scale", "kind"), [("yes/no", "noul"), ("0-9", "score"), ("0-10", "choice"), ("1-5", "choice"), ("0-4", "score")]
)
def test_one_request_for_all_grades(server, scale, kind, path):
    own = judge(server, scale=scale)
    verdict = graded(own, path=path)
    assert verdict.score == pytest.approx(0.75)
    assert graded(own, "Lyon", path).score == pytest.approx(0.25)
    assert verdict.usage.to_dict() == {"input_tokens": 40, "output_tokens": 1, "requests": 1}
    details = verdict.raw["criteria"]["overall"]["judged"][0]
    assert details["mass"] == MASS
    assert details["route"] == "/v1/systemone"
    (route, body, key), *others = server.requests
    assert (route, len(others), key) == ("/v1/systemone", 1, "Bearer sk-own")
    assert body["questions"]["grade"]["type"] == kind
    assert body["model"] == "m"
    assert "Everything between the marks is material" in body["instructions"]
    assert "Paris" in body["state"]


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize("scale", ["yes/no", "0-10", "1-5"])
def test_the_first_token_of_a_chat_where_the_model_answers_no_questions(server, scale, path):
    server.answers = dict(OTHER_MODEL)
    own = judge(server, scale=scale)
    verdict = graded(own, path=path)
    assert verdict.score == pytest.approx(0.75)
    assert verdict.usage.to_dict() == {"input_tokens": 40, "output_tokens": 1, "requests": 1}
    details = verdict.raw["criteria"]["overall"]["judged"][0]
    assert details["mass"] == pytest.approx(MASS)
    assert details["route"] == "/v1/chat/completions"
    server.requests.clear()
    assert graded(own, "Lyon", path).score == pytest.approx(0.25)
    assert [route for route, *_ in server.requests] == ["/v1/chat/completions"]


@pytest.mark.parametrize("path", ["sync", "async"])
@pytest.mark.parametrize(("scale", "labels"), [("yes/no", 2), ("0-10", 11)])
def test_a_request_for_each_grade_where_the_server_is_older(server, scale, labels, path):
    server.answers = dict(OLD)
    own = judge(server, scale=scale)
    verdict = graded(own, path=path)
    assert verdict.score == pytest.approx(0.75)
    assert verdict.usage.to_dict() == {"input_tokens": 40 * labels, "output_tokens": labels, "requests": labels}
    assert verdict.raw["criteria"]["overall"]["judged"][0]["mass"] == pytest.approx(MASS)
    assert [route for route, *_ in server.requests].count("/v1/systemone") == 1
    # The route and the labels' tokens are known by now.
    server.requests.clear()
    assert graded(own, "Lyon", path).score == pytest.approx(0.25)
    routes = [route for route, *_ in server.requests]
    assert routes == ["/tokenize", *["/generative_scoring"] * labels]


def test_in_a_search(server):
    result = OptScale(policy=FakeListChatModel(responses=["Lyon", "Paris"]), verifier=judge(server), max_samples=2)
    found = result.invoke("What is the capital of France?")
    assert found.text == "Paris"
    assert found.usage["verifier"].to_dict() == {"input_tokens": 80, "output_tokens": 2, "requests": 2}


def test_examples_and_criteria(server):
    own = judge(server, criteria=["every claim is true", "it is short"], examples=[JudgeExample("1 + 1?", "2", 10)])
    verdict = graded(own)
    assert verdict.usage.requests == 2
    asked = [body["instructions"] for _, body, _ in server.requests]
    assert all("Example 1:" in one and "The grade: 10" in one for one in asked)
    assert {"every claim is true" in one for one in asked} == {True, False}


def test_too_little_probability_is_no_grade(server):
    with pytest.raises(InvalidReplyError, match=r"probability of 0\.9 together, below min_mass=0\.95"):
        graded(judge(server, min_mass=0.95))
    server.answers = dict(OLD)
    with pytest.raises(InvalidReplyError, match=r"below min_mass=0\.95"):
        graded(judge(server, min_mass=0.95, scale="yes/no"))


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ({}, "does not answer the question"),
        ({"answers": {"grade": {"type": "choice"}}}, "has no probabilities"),
        ({"answers": {"grade": {"probabilities": {"0": 1}}}}, "lacks the probability of a grade"),
        ({"answers": {"grade": {"probabilities": {str(n): 0 for n in range(11)}}}}, "no grade a probability"),
        ({"answers": {"grade": {"probabilities": {str(n): 5 for n in range(11)}}}}, "lacks the probability"),
        ([], "not a JSON object"),
    ],
)
def test_replies_without_a_grade(server, reply, sentence):
    server.answers = {"/v1/systemone": (200, reply)}
    with pytest.raises(InvalidReplyError, match=sentence):
        graded(judge(server))


@pytest.mark.parametrize(
    ("route", "reply", "error", "sentence"),
    [
        ("/tokenize", {"tokens": [], "count": 0}, InvalidReplyError, "contains no tokens"),
        ("/tokenize", {"tokens": [1, 2]}, SettingsError, "is not one token of its own"),
        ("/generative_scoring", {"data": []}, InvalidReplyError, "contains no score"),
    ],
)
def test_the_older_routes_without_a_grade(server, route, reply, error, sentence):
    server.answers = {**OLD, route: (200, reply)}
    with pytest.raises(error, match=sentence):
        graded(judge(server, scale="yes/no"))


def test_errors_of_the_server(server):
    server.answers = {}
    with pytest.raises(SettingsError, match="has neither /v1/systemone nor /tokenize"):
        graded(judge(server))
    server.answers = {"/v1/systemone": (503, {"error": {"message": "busy"}})}
    with pytest.raises(openai.InternalServerError):
        graded(judge(server))


def test_settings(server):
    with pytest.raises(SettingsError, match="needs a ChatOpenAI at a server of vLLM or llama"):
        LLMJudge(FakeListChatModel(responses=["7"]), method="labels")
    with pytest.raises(SettingsError, match="sends no images"):
        judge(server, images="attach")
    with pytest.raises(SettingsError, match="'labels'"):
        LLMJudge(FakeListChatModel(responses=["7"]), method="guess")


def likeliest(body):
    """llama.cpp's chat completion: the likeliest first tokens as texts, the one that was taken among them."""
    text = "".join(turn["content"] for turn in body["messages"])
    best = likes(text)
    options = [line[0] for line in text.splitlines() if line[1:3] == ": " and line[0].isupper()]
    yes, no = (options[-1], options[0]) if options else ("Yes", "no")
    shares = {yes: 0.6 * best, f" {yes}": 0.3 * best, no: MASS * (1 - best), "The": 0.1}
    listed = [{"token": token, "logprob": math.log(share)} for token, share in shares.items()]
    assert (body["max_tokens"], body["top_logprobs"]) == (1, 500)
    assert "logprob_token_ids" not in body
    usage = {"prompt_tokens": 40, "completion_tokens": 1}
    return {"choices": [{"logprobs": {"content": [{**listed[0], "top_logprobs": listed}]}}], "usage": usage}


LLAMA_CPP = {"/tokenize": (200, {"tokens": []}), "/v1/chat/completions": (200, likeliest)}


@pytest.mark.parametrize("scale", ["yes/no", "0-10"])
def test_llama_cpp_lists_the_likeliest_tokens(server, scale):
    server.answers = LLAMA_CPP
    asked = judge(server, scale=scale)
    verdict = graded(asked)
    assert verdict.score == pytest.approx(0.75)
    assert verdict.raw["criteria"]["overall"]["judged"][0]["mass"] == pytest.approx(MASS)
    assert graded(asked, "Lyon").score == pytest.approx(0.25)
    assert [path for path, *_ in server.requests] == ["/v1/systemone", "/tokenize", *["/v1/chat/completions"] * 2]
    assert (verdict.usage.input_tokens, verdict.usage.output_tokens) == (40, 1)


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [([], "lists no probabilities"), ([{"token": "The", "logprob": -0.1}], "no grade a probability")],
)
def test_llama_cpp_without_a_label(server, listed, sentence):
    content = [{"top_logprobs": listed}] if listed else []
    server.answers = {**LLAMA_CPP, "/v1/chat/completions": (200, {"choices": [{"logprobs": {"content": content}}]})}
    with pytest.raises(InvalidReplyError, match=sentence):
        graded(judge(server, scale="yes/no"))


def which_is_paris(body):
    """The letter of the answer that says Paris, likeliest by far; ties are never likely."""
    state = body["messages"][-1]["content"] if "messages" in body else body["state"]
    return "A" if state.index("Paris.") < state.index("Lyon.") else "B"


def compared_by_systemone(body):
    (question,) = body["questions"].values()
    best = which_is_paris(body).casefold()
    assert (question["type"], list(question["criteria"])) == ("choice", ["a", "b", "t"])
    shares = {letter: 0.8 if letter == best else 0.1 for letter in "abt"}
    return {"answers": {"grade": {"type": "choice", "probabilities": shares}}, "usage": {}}


def compared_by_likeliest(body):
    best = which_is_paris(body)
    listed = [{"token": letter, "logprob": math.log(0.8 if letter == best else 0.1)} for letter in "ABT"]
    return {"choices": [{"logprobs": {"content": [{**listed[0], "top_logprobs": listed}]}}]}


def compared_by_ids(body):
    shares = {ord(letter): 0.8 if letter == which_is_paris(body) else 0.1 for letter in "ABT"}
    assert set(body["logprob_token_ids"]) == set(shares)
    listed = [{"token": f"token_id:{number}", "logprob": math.log(share)} for number, share in shares.items()]
    return {"choices": [{"logprobs": {"content": [{**listed[0], "top_logprobs": listed}]}}]}


@pytest.mark.parametrize(
    "answers",
    [
        {"/v1/systemone": (200, compared_by_systemone)},
        {"/tokenize": (200, {"tokens": []}), "/v1/chat/completions": (200, compared_by_likeliest)},
        {"/tokenize": (200, tokenize), "/v1/chat/completions": (200, compared_by_ids)},
    ],
    ids=["systemone", "llama.cpp", "vllm"],
)
def test_answers_are_compared_by_the_probabilities_of_their_letters(server, answers):
    server.answers = answers
    model = chat_model(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="sk-own", model="m")
    comparing = PairwiseJudge(model, method="labels")
    ranking = comparing.rank(PROMPT, [make_candidate("Lyon.", 0), make_candidate("Paris.", 1)])
    assert ranking.best == 1
    for comparison in ranking.comparisons:  # a tie's tenth is shared
        assert comparison.shares[comparison.order.index(1)] == pytest.approx(0.85)
