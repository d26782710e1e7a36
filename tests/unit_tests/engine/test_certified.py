"""`certify=`: the same certificate at every entry point, in the result, its JSON, the message and the trace."""

import pytest

from langchain_optscale import Certificate, ChatOptScale, OptScale, OptScaleResult, SettingsError, create_optscale_tool
from langchain_optscale.engine.metadata import result_metadata
from langchain_optscale.engine.serialisation import from_spec, to_spec
from langchain_optscale.evaluation.pools import Question, Sample
from langchain_optscale.stopping import MaxSamples
from langchain_optscale.stopping.labelled import search_form
from tests.unit_tests.fakes import PlainPolicy, ScriptedPolicy, read_score
from tests.unit_tests.graph.searches import QUESTION, graph_of, result_in

SURE = Certificate(threshold=0.8, delta=0.05, eps=0.1, labels=100, accepted=60, wrong=0)
TEXTS = ["0.2", "0.9", "0.4"]


def search(certify, **settings):
    return OptScale(
        policy=ScriptedPolicy(texts=TEXTS), verifier=read_score, stopping=MaxSamples(3), certify=certify, **settings
    )


def test_a_certified_answer_says_what_is_promised():
    result = search(SURE).invoke("?")
    assert (result.certified, result.claim, result.probability) == (True, "right", 0.95)
    assert result.promise == "right: of the answers accepted like this one at most 5% are wrong, with confidence 90%"
    assert result.certification.estimate == 0.9
    assert result.summary()["certified"] is True
    assert result_metadata(result)["optscale_certified"] is True
    again = OptScaleResult.from_dict(result.to_dict())
    assert (again.certification, again.claim, again.probability) == (result.certification, "right", 0.95)


@pytest.mark.parametrize("threshold", [0.95, None])
def test_an_answer_that_is_not_certified_promises_nothing(threshold):
    result = search(Certificate(threshold, 0.05, 0.1, 100, 0, 0)).invoke("?")
    assert (result.certified, result.claim) == (False, "not sure")
    assert result.promise.startswith("not certified")
    assert OptScaleResult.from_dict(result.to_dict()).certified is False


def test_without_a_certificate_nothing_is_said():
    result = search(None).invoke("?")
    assert (result.certified, result.promise) == (None, None)
    assert "certified" not in result.summary()
    old = {key: value for key, value in result.to_dict().items() if key != "certification"}
    assert OptScaleResult.from_dict(old).certification is None


def test_with_answers_the_probability_of_the_answer_counts():
    texts = [r"\boxed{4}"] * 8
    one = OptScale(
        policy=PlainPolicy(texts=texts), verifier=lambda prompt, candidate: 0.5, stopping=MaxSamples(8),
        extract="boxed", certify=Certificate(0.6, 0.1, 0.1, 100, 50, 1),
    )  # fmt: skip
    result = one.invoke("?")
    assert 0.6 < result.certification.estimate < 1.0
    assert result.certified


def test_a_file_does_as_well(tmp_path):
    SURE.save(tmp_path / "certificate.json")
    for path in (tmp_path / "certificate.json", str(tmp_path / "certificate.json")):
        assert search(path).certify == SURE
    with pytest.raises(SettingsError, match="cannot be read"):
        search("nowhere.json")
    with pytest.raises(SettingsError, match="must be a Certificate"):
        search(0.9)


async def test_every_entry_point_takes_it():
    settings = {"policy": ScriptedPolicy(texts=TEXTS), "verifier": read_score, "stopping": MaxSamples(3)}
    message = ChatOptScale(**settings, certify=SURE).invoke("?")
    assert message.response_metadata["optscale"]["certified"] is True
    assert (await search(SURE).ainvoke("?")).certified
    graph, _ = graph_of([0.2, 0.9, 0.4], stopping=MaxSamples(3), certify=SURE)
    assert result_in(graph.compile().invoke(QUESTION)).certified
    assert [result.certified for result in search(SURE).batch(["?", "!"])] == [True, True]
    tool = create_optscale_tool(**settings, certify=SURE)
    assert "0.9" in str(tool.invoke({"question": "?"}))


def test_it_is_plain_data_in_settings():
    assert from_spec(to_spec(SURE)) == SURE
    assert search(to_spec(SURE)).certify == SURE


def labelled_pool():
    """Forty questions of four scored samples, of which the better-scored half are right."""
    return [
        Question(
            str(place), "?", tuple(Sample(score=s, answer=str(s > 0.5), correct=s > 0.5) for s in (0.2, 0.9, 0.8, 0.7))
        )
        for place in range(40)
    ]


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"max_samples": 8}, "max_samples=4"), ({"effort": "low"}, "effort='medium'"), ({"select": "vote"}, "posterior")],
)
def test_it_refuses_another_search_than_it_was_fitted_to(settings, named):
    certificate = Certificate.fit(labelled_pool())
    assert certificate.searched_with["max_samples"] == 4
    policy = ScriptedPolicy(texts=TEXTS)
    alike = {"policy": policy, "verifier": read_score, "extract": "number", "max_samples": 4, "certify": certificate}
    OptScale(**alike)
    with pytest.raises(SettingsError, match=f"was fitted to searches with .*{named}.* promises nothing"):
        OptScale(**{**alike, **settings})


def test_what_it_was_fitted_to_is_kept_in_its_file(tmp_path):
    certificate = Certificate.fit(labelled_pool(), rule=MaxSamples(3), max_samples=3)
    certificate.save(tmp_path / "certificate.json")
    again = Certificate.load(tmp_path / "certificate.json")
    assert again == certificate
    again.check(search_form(MaxSamples(3), 3, "best", answered=True))
    with pytest.raises(SettingsError, match="stopping"):
        again.check(search_form(MaxSamples(2), 3, "best", answered=True))


def test_pairs_of_numbers_say_nothing_about_the_search():
    certificate = Certificate.fit([(0.9, True)] * 40)
    assert certificate.searched_with is None
    certificate.check(search_form(None, 5, "best", answered=False))
