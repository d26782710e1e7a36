"""Pools: what is read is what was written, what is wrong is named with file and line, figures against hand counts."""

import gzip
import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.description import area_under_curve, describe, score_resolution
from langchain_optscale.evaluation.pools import Pool, Question, Sample, read_pool, write_pool
from tests.unit_tests.shared_data import shared_data

SCORES = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
TEXTS = st.text(st.characters(codec=None), max_size=8)  # lone surrogates included
SAMPLES = st.builds(
    Sample,
    score=st.none() | SCORES,
    correct=st.none() | st.booleans(),
    tokens=st.none() | st.integers(0, 10**6),
    answer=st.none() | TEXTS,
    text=st.none() | TEXTS,
    logit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
FULL_SAMPLES = st.builds(Sample, score=SCORES, correct=st.booleans(), answer=st.none() | st.sampled_from("abc"))


def pools(samples):
    questions = st.builds(
        Question,
        id=TEXTS.filter(bool),
        prompt=TEXTS,
        samples=st.lists(samples, min_size=1, max_size=5).map(tuple),
        gold=st.none() | TEXTS,
    )
    return st.lists(questions, max_size=8, unique_by=lambda question: question.id).map(lambda q: Pool(tuple(q)))


def line(**changes):
    return json.dumps({"id": "a", "prompt": "?", "samples": [{"score": 0.5}], **changes})


def pool_of(*questions, name="pool"):
    """Questions given as lists of (score, correct, answer)."""
    return Pool(
        tuple(
            Question(f"q{i}", "?", tuple(Sample(score=s, correct=c, answer=a) for s, c, a in samples))
            for i, samples in enumerate(questions)
        ),
        name,
    )


@given(pools(SAMPLES).filter(len))
def test_written_and_read_is_equal(tmp_path_factory, pool):
    for ending in ("jsonl", "jsonl.gz"):
        path = tmp_path_factory.mktemp("pools") / f"pool.{ending}"
        write_pool(pool, path)
        assert read_pool(path) == pool
        assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_equal_pools_make_equal_packed_files(tmp_path):
    pool = pool_of([(0.5, True, "x")])
    contents = set()
    for name in ("one.gz", "two.gz"):
        write_pool(pool, tmp_path / name)
        contents.add((tmp_path / name).read_bytes())
    assert len(contents) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "pool.jsonl"
    write_pool(pool_of([(0.5, True, None)]), path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SettingsError, match=r"pool\.jsonl cannot be written: No space left"):
        write_pool(pool_of([(0.1, False, None)]), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["pool.jsonl"]


def test_what_a_line_may_hold(tmp_path):
    path = tmp_path / "my.pool.jsonl"
    notes = {"gold": None, "difficulty": 3, "samples": [{"score": 1, "correct": None, "answer": "", "note": "x"}]}
    path.write_text("\n" + line(**notes) + "\r\n\n" + line(id="b"))
    pool = read_pool(path)
    assert pool.name == "my.pool"
    assert pool.questions[0] == Question("a", "?", (Sample(score=1),))
    assert pool.questions[1].samples[0] == Sample(score=0.5)
    assert read_pool(path, name="other").name == "other"


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ('{"id": "b", "prompt"', "not JSON"),
        ("\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("7", "must be a JSON object, got int"),
        ('{"id": "b"}', "prompt missing"),
        (line(id=7), "id must be a string, got 7"),
        (line(id=""), "id must not be empty"),
        (line(id="a"), "id 'a' is already used on line 1"),
        (line(id="b", prompt=None), "prompt must be a string"),
        (line(id="b", gold=4), "gold must be a string, got 4"),
        (line(id="b", samples=[]), "at least one sample"),
        (line(id="b", samples={}), "samples must be a list, got dict"),
        (line(id="b", samples=[{}, 0.5]), "sample 2: must be a JSON object, got float"),
        (line(id="b", samples=[{"score": 1.5}]), r"sample 1: score must be a finite number in \[0, 1\], got 1.5"),
        (line(id="b", samples=[{"score": math.nan}]), "score must be .* got nan"),
        (line(id="b", samples=[{"score": True}]), "score must be .* got True"),
        (line(id="b", samples=[{"score": "0.5"}]), "score must be .* got '0.5'"),
        (line(id="b", samples=[{"score": 10**400}]), "score must be"),
        (line(id="b", samples=[{"logit": -math.inf}]), "logit must be a finite number, got -inf"),
        (line(id="b", samples=[{"logit": math.nan}]), "logit must be a finite number, got nan"),
        (line(id="b", samples=[{"correct": 1}]), "correct must be true or false, got 1"),
        (line(id="b", samples=[{"tokens": 1.5}]), "tokens must be a whole number"),
        (line(id="b", samples=[{"tokens": -1}]), "tokens must be at least 0"),
        (line(id="b", samples=[{"answer": 4}]), "answer must be a string, got 4"),
        (line(id="b", samples=[{"text": ["x"]}]), "text must be a string"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, complaint):
    path = tmp_path / "pool.jsonl"
    path.write_bytes((line() + "\n" + bad + "\n").encode("latin-1"))
    with pytest.raises(InvalidRecordError, match=complaint) as caught:
        read_pool(path)
    assert str(caught.value).startswith(f"{path}, line 2: ")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_pool(tmp_path / "missing.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InvalidRecordError, match="the file has no questions"):
        read_pool(tmp_path / "empty.jsonl")
    (tmp_path / "plain.jsonl.gz").write_text(line())
    with pytest.raises(SettingsError, match="cannot be read"):
        read_pool(tmp_path / "plain.jsonl.gz")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(line().encode() * 99)[:-20])
    with pytest.raises(SettingsError, match="cannot be read"):
        read_pool(tmp_path / "cut.jsonl.gz")
    with pytest.raises(SettingsError, match="cannot be written"):
        write_pool(pool_of(), tmp_path / "no" / "where.jsonl")


def test_ids_are_unique_and_questions_have_samples():
    question = Question("a", "?", (Sample(score=0.5),))
    with pytest.raises(InvalidRecordError, match="the same id: 'a'"):
        Pool((question, question))
    with pytest.raises(InvalidRecordError, match="questions without samples: 'b'"):
        Pool((question, Question("b", "?")))


@given(pools(SAMPLES), st.floats(0, 1), st.integers())
def test_a_split_is_a_partition(pool, fraction, seed):
    first, second = pool.split(fraction, seed=seed)
    ids = [question.id for question in first] + [question.id for question in second]
    assert sorted(ids) == sorted(question.id for question in pool)
    assert len(first) == round(fraction * len(pool))
    assert pool.split(fraction, seed=seed) == (first, second)
    backwards = Pool(pool.questions[::-1]).split(fraction, seed=seed)
    assert {question.id for question in backwards[0]} == {question.id for question in first}


def test_another_seed_gives_another_split():
    pool = pool_of(*[[(0.5, True, None)]] * 20)
    assert len({frozenset(q.id for q in pool.split(seed=seed)[0]) for seed in range(10)}) > 5
    with pytest.raises(SettingsError, match="fraction"):
        pool.split(1.5)


def test_merge():
    a, b = pool_of([(0.1, True, None)], name="a"), pool_of([(0.2, True, None)], name="b")
    with pytest.raises(InvalidRecordError, match="the same id: 'q0'"):
        Pool.merge(a, b)
    merged = Pool.merge(a, b, prefix=True, name="both")
    assert [question.id for question in merged] == ["a/q0", "b/q0"]
    assert [sample.score for sample in merged.samples] == [0.1, 0.2]
    assert merged.name == "both"


def test_scores_from_logits():
    pool = Pool((Question("a", "?", tuple(Sample(logit=x) for x in (-1e308, -1.0, 1.0, 3.0, 1e308))),))
    scores = [sample.score for sample in pool.from_logits(location=1.0, scale=2.0).samples]
    assert scores == pytest.approx([0.0, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-1)), 1.0])
    assert all(sample.score is None for sample in pool.samples)
    for settings in ({"scale": 0.0}, {"scale": math.nan}, {"location": math.inf}):
        with pytest.raises(SettingsError, match="location must be finite"):
            pool.from_logits(**settings)
    with pytest.raises(SettingsError, match="samples without a logit"):
        pool_of([(0.5, True, None)]).from_logits()


def test_with_scores():
    pool = pool_of([(0.25, True, "x")])
    assert [s.score for s in pool.with_scores(lambda sample: 1 - sample.score).samples] == [0.75]
    with pytest.raises(InvalidRecordError, match="score must be"):
        pool.with_scores(lambda sample: 2.0)


def test_what_a_pool_has():
    pool = pool_of([(0.5, True, None)] * 3, [(0.5, True, "x")] * 2)
    assert (len(pool), pool.cap, pool.has_scores, pool.has_logits) == (2, 2, True, False)
    assert (pool.has_correct, pool.has_answers) == (True, True)
    assert not pool_of([(0.5, True, None), (0.5, None, None)]).has_correct
    assert not pool_of([(0.5, True, "")]).has_answers
    assert (Pool(()).cap, Pool(()).has_correct, Pool(()).has_scores) == (0, False, False)


def test_figures_against_a_count_by_hand():
    pool = pool_of(
        # best: a tie of a right and a wrong one; majority: 1 right answer of 2 votes; the 4th sample is beyond the cap
        [(0.9, True, "x"), (0.9, False, "y"), (0.1, True, "x"), (1.0, False, "z")],
        # best: wrong; majority: a tie of right and wrong; one without an answer
        [(0.2, True, "x"), (0.8, False, "y"), (0.5, False, None)],
        # no sample has an answer
        [(0.0, False, None), (0.0, False, None), (0.0, False, None)],
    )
    figures = describe(pool)
    assert (figures["questions"], figures["samples"], figures["cap"]) == (3, 10, 3)
    assert figures["accuracy"] == pytest.approx((2 / 4 + 1 / 3 + 0) / 3)
    assert figures["best_of_cap_accuracy"] == pytest.approx((0.5 + 0 + 0) / 3)
    assert figures["majority_accuracy"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert figures["any_correct"] == pytest.approx(2 / 3)
    assert figures["scores"]["at_zero"] == pytest.approx(0.3)
    assert figures["scores"]["at_one"] == pytest.approx(0.1)
    assert figures["scores"]["distinct"] == 7
    assert figures["scores"]["resolution"] == pytest.approx(0.1)
    # right 0.9, 0.1, 0.2 against wrong 0.9, 1.0, 0.8, 0.5, 0.0 (3 times)
    assert figures["auc"] == pytest.approx((0.5 + 2 + 3 + 3 + 3) / 21)
    # within: 0.9 and 0.1 against 0.9 and 1.0; 0.2 against 0.8 and 0.5
    assert figures["auc_within_question"] == pytest.approx(0.5 / 6)
    assert figures["logits"] is None
    assert figures["tokens_mean"] is None
    assert pool.describe() == figures


@given(pools(SAMPLES) | pools(FULL_SAMPLES))
def test_figures_are_json_without_nan(pool):
    figures = pool.describe()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    for name in ("accuracy", "best_of_cap_accuracy", "majority_accuracy", "any_correct", "auc", "auc_within_question"):
        assert figures[name] is None or 0 <= figures[name] <= 1


@given(st.lists(st.tuples(SCORES, st.booleans()), max_size=30))
def test_area_under_curve_counts_pairs(scored):
    values, correct = [value for value, _ in scored], [right for _, right in scored]
    pairs = [
        1.0 if right > wrong else 0.5 if right == wrong else 0.0
        for right, is_right in scored
        if is_right
        for wrong, is_wrong in scored
        if not is_wrong
    ]
    area = area_under_curve(values, correct)
    assert area == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def test_resolution():
    assert score_resolution([0.0, 1.0, 1.0]) == 1.0
    assert score_resolution([0.333333, 0.666667]) == pytest.approx(1 / 3)
    assert score_resolution([k / 10 for k in range(11)]) == pytest.approx(0.1)
    assert score_resolution([0.12, 0.55, 0.97]) == pytest.approx(0.01)
    assert score_resolution([0.577739, 0.657419]) is None


@pytest.mark.parametrize("name", ["math_level3_gpt4omini_x5", "gsm8k_rm_logit_base_x4", "gsm8k_logprob_x16_a"])
def test_shared_pools(name, tmp_path):
    path = shared_data("pools", f"{name}.jsonl")
    pool = read_pool(path)
    figures = pool.describe()
    assert pool.cap == int(name.rpartition("_x")[2].split("_")[0])
    assert pool.has_correct
    assert 0.3 < figures["accuracy"] < 0.9
    assert 0.7 < figures["auc"] < 0.95
    if "logit" in name:
        assert pool.from_logits(scale=4.0).describe()["auc"] == pytest.approx(figures["auc"])
    if "math" in name:
        assert figures["scores"]["at_one"] == pytest.approx(0.37, abs=0.005)  # as its README says
    write_pool(pool, tmp_path / f"{name}.jsonl")
    assert read_pool(tmp_path / f"{name}.jsonl") == pool


def test_every_shared_pool_reads_and_describes():
    for path in sorted(shared_data("pools").glob("*.jsonl*")):
        figures = read_pool(path).describe()
        assert figures["samples"] >= figures["questions"] * figures["cap"] > 0


def test_pools_need_no_langchain():
    code = (
        "import sys\n"
        "import langchain_optscale.evaluation.importers, langchain_optscale.evaluation.description\n"
        "assert not [name for name in sys.modules if name.startswith('langchain_core')]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr
