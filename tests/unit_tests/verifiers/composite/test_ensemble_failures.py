"""An ensemble whose members run at once, and what follows where one fails."""

import asyncio
import threading
import time

import pytest
from langchain_core.prompt_values import StringPromptValue

from langchain_optscale import EnsembleVerifier, SettingsError
from langchain_optscale.records.candidates import Verdict
from langchain_optscale.verifiers.conformance import VerifierConformance, make_candidate

PROMPT = StringPromptValue(text="q")
CANDIDATE = make_candidate("a")


def giving(score):
    return lambda prompt, candidate: score


def failing(error):
    def broken(prompt, candidate):
        raise error

    return broken


def both(verifier):
    return [verifier.verify(PROMPT, CANDIDATE), asyncio.run(verifier.averify(PROMPT, CANDIDATE))]


def test_the_sync_path_is_concurrent():
    barrier = threading.Barrier(3, timeout=5)

    def meet(prompt, candidate):
        barrier.wait()
        return 1.0

    assert EnsembleVerifier([meet] * 3).verify(PROMPT, CANDIDATE).score == 1.0


def test_the_sync_path_does_not_wait_for_the_others_where_one_fails():
    release = threading.Event()

    def slow(prompt, candidate):
        release.wait(20)
        return 1.0

    began = time.monotonic()
    with pytest.raises(ConnectionError, match="down"):
        EnsembleVerifier([slow, failing(ConnectionError("down"))]).verify(PROMPT, CANDIDATE)
    assert time.monotonic() - began < 10
    release.set()


def test_an_end_of_the_program_is_no_failure_to_skip():
    lenient = EnsembleVerifier([giving(0.2), failing(SystemExit(3))], on_failure="skip")
    with pytest.raises(SystemExit):
        lenient.verify(PROMPT, CANDIDATE)


def test_members_that_fail_may_be_skipped():
    members = [giving(0.2), failing(ConnectionError("down")), giving(0.8)]
    for verdict in both(EnsembleVerifier(members, weights=[1, 5, 3], on_failure="skip")):
        assert verdict.score == pytest.approx((0.2 + 3 * 0.8) / 4)
        assert verdict.raw == {"CallableVerifier 1": 0.2, "broken": None, "CallableVerifier 2": 0.8}
        assert verdict.explanation == "broken failed: ConnectionError: down"
    for combine, expected in (("min", 0.2), ("product", pytest.approx(0.16))):
        assert both(EnsembleVerifier(members, combine=combine, on_failure="skip"))[0].score == expected


def test_where_all_fail_the_first_members_error_is_raised():
    members = [failing(ConnectionError("first")), failing(TimeoutError("second"))]
    ensemble = EnsembleVerifier(members, on_failure="skip")
    with pytest.raises(ConnectionError, match="first"):
        ensemble.verify(PROMPT, CANDIDATE)
    with pytest.raises(ConnectionError, match="first"):
        asyncio.run(ensemble.averify(PROMPT, CANDIDATE))


def test_a_mistake_in_the_settings_is_never_skipped():
    async def only_async(prompt, candidate):
        return 1.0

    with pytest.raises(SettingsError, match="async"):
        EnsembleVerifier([only_async, giving(1.0)], on_failure="skip").verify(PROMPT, CANDIDATE)


async def test_a_cancellation_is_never_skipped():
    cancelled = []

    async def slow(prompt, candidate):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    task = asyncio.create_task(EnsembleVerifier([slow, slow], on_failure="skip").averify(PROMPT, CANDIDATE))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == [1, 1]


def test_settings():
    with pytest.raises(SettingsError, match="on_failure must be 'raise' or 'skip'"):
        EnsembleVerifier([giving(1)], on_failure="ignore")
    assert repr(EnsembleVerifier([giving(1)], on_failure="skip")).endswith("combine='mean', on_failure='skip')")
    assert both(EnsembleVerifier([giving(0.5)], on_failure="skip"))[1] == Verdict(0.5, raw={"CallableVerifier": 0.5})


class TestSkipping(VerifierConformance):
    def make_verifier(self):
        return EnsembleVerifier(
            [lambda prompt, candidate: "Paris" in candidate.text, failing(ValueError("always"))], on_failure="skip"
        )

    def good_candidate(self):
        return make_candidate("Paris, France")

    def bad_candidate(self):
        return make_candidate("I do not know")
