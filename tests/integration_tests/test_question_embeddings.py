"""A prior per question on the embeddings of a real server on loopback, as an OpenAI-compatible endpoint serves them."""

import asyncio
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_optscale import LearnedPrior, OptScale, QuestionPrior

langchain_openai = pytest.importorskip("langchain_openai")

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Server(ThreadingHTTPServer):
    """Embeds a text as the counts of its letters; `broken` answers with status 500."""

    broken = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        self.server.asked.append(texts)
        vectors = [[float(text.count(letter)) for letter in LETTERS] for text in texts]
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        answer = {"object": "list", "model": "e", "data": data, "usage": usage}
        content = json.dumps({"error": {"message": "out of memory"}} if self.server.broken else answer).encode()
        self.send_response(500 if self.server.broken else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Nothing on the terminal."""


@contextlib.contextmanager
def embedding_server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_prior_on_served_embeddings(tmp_path, caplog):
    generator = np.random.default_rng(0)
    prompts = [f"{'easy' if n % 2 else 'hard'} question number {n}" for n in range(60)]
    scores = [np.clip(generator.normal(0.9 if n % 2 else 0.3, 0.05, 4), 0.0, 1.0).tolist() for n in range(60)]
    with embedding_server() as server:
        model = langchain_openai.OpenAIEmbeddings(
            base_url=f"http://127.0.0.1:{server.server_port}/v1",
            model="e",
            api_key="unused",
            check_embedding_ctx_length=False,
            max_retries=0,
        )
        QuestionPrior.fit(prompts, scores=scores, embeddings=model).save(tmp_path / "prior.npz")
        prior = LearnedPrior.load(tmp_path / "prior.npz", model)
        assert prior("easy question number 7").mean > 0.8 > 0.4 > prior("hard question number 8").mean

        policy = FakeListChatModel(responses=["a", "b", "c"])
        search = OptScale(
            policy=policy, verifier=lambda prompt, candidate: 0.5, target=0.85, max_samples=4, prior=prior
        )
        server.asked.clear()
        result = asyncio.run(search.ainvoke("hard question number 3"))
        assert result.candidates
        assert server.asked == [["hard question number 3"]]

        server.broken = True
        assert asyncio.run(search.ainvoke("hard question number 3")).candidates
        assert "the population's, since the embedding model failed" in caplog.text
