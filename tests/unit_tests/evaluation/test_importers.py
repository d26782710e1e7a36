"""Logs of other programs, made by hand as their writers (lm_eval's evaluator and tracker, inspect_ai's EvalLog) do."""

import gzip
import json

import pytest

from langchain_optscale.errors import InvalidRecordError, SettingsError
from langchain_optscale.evaluation.importers import from_inspect, from_lm_eval


def harness_line(doc_id=0, **changes):
    return {
        "doc_id": doc_id,
        "doc": {"question": f"{doc_id} + 2?", "answer": "#### 4"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": f"Question: {doc_id} + 2?\nAnswer:", "arg_1": {"until": ["\n\n"]}}},
        "resps": [["2 + 2 is 4."]],
        "filtered_resps": ["4"],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": 1.0,
        **changes,
    }


def write_lines(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def log(tmp_path):
    return tmp_path / "samples_gsm8k_2026-01-01T00-00-00.123456.jsonl"


def same(answer, gold):
    return answer == gold


def test_harness_one_response(log):
    write_lines(log, harness_line(0), harness_line(1, filtered_resps=["[invalid]"], exact_match=0.0))
    pool = from_lm_eval(log)
    first, second = pool.questions
    assert (first.id, first.prompt, first.gold) == ("0", "Question: 0 + 2?\nAnswer:", "4")
    (sample,) = first.samples
    assert (sample.text, sample.answer, sample.correct, sample.score) == ("2 + 2 is 4.", "4", True, None)
    assert (second.samples[0].answer, second.samples[0].correct) == (None, False)
    assert pool.name == "samples_gsm8k_2026-01-01T00-00-00.123456"
    assert from_lm_eval(log, name="gsm8k").name == "gsm8k"


def test_harness_repeats(log):
    """A filter that takes the first or the majority says nothing of the single candidates."""
    responses = {"resps": [["It is 4", "It is 5", "4"]]}
    write_lines(log, harness_line(**responses))
    (question,) = from_lm_eval(log)
    assert [(s.text, s.answer, s.correct) for s in question.samples] == [
        ("It is 4", None, None),
        ("It is 5", None, None),
        ("4", None, None),
    ]
    (question,) = from_lm_eval(log, check=lambda answer, gold: answer.endswith(gold))
    assert [sample.correct for sample in question.samples] == [True, False, True]

    write_lines(log, harness_line(**responses, filtered_resps=[["4", "[invalid]", "4"]], exact_match=[1, 0, 1]))
    (question,) = from_lm_eval(log)
    assert [(s.answer, s.correct) for s in question.samples] == [("4", True), (None, False), ("4", True)]
    (question,) = from_lm_eval(log, check=same)
    assert [sample.correct for sample in question.samples] == [True, False, True]


def test_harness_answers_are_canonical(log):
    """The harness's "flexible-extract" keeps what stands around a number."""
    spellings = ["$18", "18.", "18.00", "$18.00", "18", "1,8", "[invalid]", "."]
    texts = [f"It costs {one}" for one in spellings]
    write_lines(
        log, harness_line(resps=[texts], filtered_resps=[spellings], exact_match=[0, 0, 0, 0, 1, 0, 0, 0], target="18")
    )
    (question,) = from_lm_eval(log)
    assert [sample.answer for sample in question.samples] == [*["18"] * 5, r"\{1, 8\}", None, None]
    assert [sample.correct for sample in question.samples] == [False, False, False, False, True, False, False, False]


def test_harness_answers_from_the_texts(log):
    responses = {"resps": [["It is $4.00", "so 5.", "no idea"]]}
    write_lines(log, harness_line(**responses))
    (question,) = from_lm_eval(log, extract="number")
    assert [sample.answer for sample in question.samples] == ["4", "5", None]


def test_a_check_is_given_what_stands_in_the_log(log):
    write_lines(log, harness_line(filtered_resps=["$4."], target="$4."))
    (question,) = from_lm_eval(log, check=same)
    assert [(sample.answer, sample.correct) for sample in question.samples] == [("4", True)]


def test_harness_filters(log):
    flexible = harness_line(filter="flexible-extract", filtered_resps=["5"], exact_match=0.0)
    write_lines(log, harness_line(), flexible)
    with pytest.raises(SettingsError, match="filters flexible-extract, strict-match; choose one by filter="):
        from_lm_eval(log)
    (sample,) = from_lm_eval(log, filter="flexible-extract").samples
    assert (sample.answer, sample.correct) == ("5", False)
    with pytest.raises(SettingsError, match="no lines of the filter 'none'"):
        from_lm_eval(log, filter="none")


def test_harness_older_logs(log):
    """Before 2024-12 a line named neither its filter nor its metrics, and its arguments were nested lists."""
    line = harness_line(arguments=[["Q:", {"until": ["Q:"]}]])
    for key in ("filter", "metrics", "doc_hash", "prompt_hash", "target_hash"):
        del line[key]
    (question,) = from_lm_eval(write_lines(log, line))
    assert (question.prompt, question.samples[0].correct) == ("Q:", True)
    with pytest.raises(InvalidRecordError, match="line 2: doc_id 0 is already used on line 1"):
        from_lm_eval(write_lines(log, line, line))


def test_harness_chat_prompt_and_packed_file(tmp_path):
    chat = json.dumps([{"role": "user", "content": "2 + 2?"}])
    line = harness_line(arguments={"gen_args_0": {"arg_0": [chat], "arg_1": {}}})
    path = tmp_path / "samples.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(line).encode()))
    assert from_lm_eval(path).questions[0].prompt == chat


def test_harness_several_runs(tmp_path):
    runs = [
        write_lines(tmp_path / f"{i}.jsonl", harness_line(0, resps=[[f"run {i}"]], exact_match=float(i)))
        for i in range(2)
    ]
    (question,) = from_lm_eval(runs)
    assert [(sample.text, sample.correct) for sample in question.samples] == [("run 0", False), ("run 1", True)]
    other = write_lines(tmp_path / "other.jsonl", harness_line(0, arguments=[["Another task", {}]]))
    with pytest.raises(InvalidRecordError, match=r"other\.jsonl, line 1: 0 is another question than the 0 before"):
        from_lm_eval([*runs, other])
    with pytest.raises(SettingsError, match="no file"):
        from_lm_eval([])


def test_harness_metrics_to_choose(log):
    metrics = {"metrics": ["strict", "loose", "f1", "bleu"], "strict": False, "loose": True, "f1": 0.5, "bleu": 31.5}
    write_lines(log, harness_line(**metrics))
    with pytest.raises(SettingsError, match="could be 'correct': strict, loose; choose one by correct="):
        from_lm_eval(log)
    with pytest.raises(SettingsError, match="several metrics could be 'score': f1, bleu; choose one by score="):
        from_lm_eval(log, correct="loose")
    (sample,) = from_lm_eval(log, correct="loose", score="f1").samples
    assert (sample.correct, sample.score, sample.logit) == (True, 0.5, None)
    (sample,) = from_lm_eval(log, correct="loose", score="bleu").samples
    assert (sample.score, sample.logit) == (None, 31.5)
    (sample,) = from_lm_eval(log, correct="strict", score="loose").samples
    assert (sample.correct, sample.score) == (False, 1.0)
    with pytest.raises(SettingsError, match="has no metric 'acc'; it has strict, loose, f1, bleu"):
        from_lm_eval(log, correct="acc")
    with pytest.raises(InvalidRecordError, match=r"line 1: f1 is not yes or no: 0\.5"):
        from_lm_eval(log, correct="f1", score="bleu")
    with pytest.raises(SettingsError, match="check= and correct="):
        from_lm_eval(log, correct="strict", check=same)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"doc_id": None}, "doc_id must be .*, got NoneType"),
        ({"resps": [[[-1.5, True]], [[-2.5, False]]]}, "only tasks that generate text"),
        ({"resps": "4"}, "resps must be list, got str"),
        ({"filtered_resps": None}, "filtered_resps must be list"),
        ({"arguments": None}, "arguments must be"),
        ({"arguments": {}}, "arguments do not begin with a prompt"),
        ({"arguments": [[]]}, "arguments do not begin with a prompt"),
        ({"target": {}}, "target must be"),
    ],
)
def test_harness_complaints_name_the_line(log, changes, complaint):
    write_lines(log, harness_line(1), harness_line(**changes))
    with pytest.raises(InvalidRecordError, match=complaint) as caught:
        from_lm_eval(log)
    assert str(caught.value).startswith(f"{log}, line 2: ")


def test_harness_wrong_files(log, tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        from_lm_eval(tmp_path / "missing.jsonl")
    log.write_text("[]\n")
    with pytest.raises(InvalidRecordError, match="line 1: must be an object, got list"):
        from_lm_eval(log)
    log.write_text("")
    with pytest.raises(InvalidRecordError, match="no samples"):
        from_lm_eval(log)


def inspect_sample(id_=1, epoch=1, value="C", **changes):
    return {
        "id": id_,
        "epoch": epoch,
        "input": f"What is {id_} + 1?",
        "target": "2",
        "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "ANSWER: 2"}],
        "output": {
            "model": "openai/gpt",
            "choices": [{"message": {"role": "assistant", "content": "ANSWER: 2"}, "stop_reason": "stop"}],
            "usage": {"input_tokens": 20, "output_tokens": 7, "total_tokens": 27},
        },
        "scores": {"match": {"value": value, "answer": "2", "explanation": "ANSWER: 2"}},
        "model_usage": {"openai/gpt": {"input_tokens": 40, "output_tokens": 14}, "openai/judge": {"output_tokens": 99}},
        **changes,
    }


def write_log(path, *samples, **changes):
    log = {"version": 2, "status": "success", "eval": {"model": "openai/gpt"}, "samples": list(samples), **changes}
    path.write_text(json.dumps(log))
    return path


def test_inspect_epochs(tmp_path):
    path = write_log(
        tmp_path / "log.json",
        inspect_sample("b", 2, "I"),
        inspect_sample("a", 1, "P"),
        inspect_sample("b", 1, "C"),
        inspect_sample("a", 2, "N"),
    )
    pool = from_inspect(path)
    assert [question.id for question in pool] == ["b", "a"]
    assert [[sample.correct for sample in question.samples] for question in pool] == [[True, False], [False, False]]
    first = pool.questions[0]
    assert (first.prompt, first.gold) == ("What is b + 1?", "2")
    assert (first.samples[0].text, first.samples[0].answer, first.samples[0].tokens) == ("ANSWER: 2", "2", 7)
    assert (pool.name, pool.cap) == ("log", 2)


def test_inspect_messages_and_content_parts(tmp_path):
    parts = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "2"},
    ]
    sample = inspect_sample(
        input=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": parts[1:]},
        ],
        target=["2", "two"],
        output={"choices": [{"message": {"content": parts}}]},
    )
    (question,) = from_inspect(write_log(tmp_path / "log.json", sample))
    assert (question.prompt, question.gold, question.samples[0].text) == ("Be brief.\n\nIt is 2", "2", "It is 2")
    assert question.samples[0].tokens == 14  # the output has no usage: the model's own, without the judge's


def test_inspect_several_turns_count_the_whole_usage(tmp_path):
    turn = {"role": "assistant", "content": "x"}
    (sample,) = from_inspect(write_log(tmp_path / "log.json", inspect_sample(messages=[turn, turn]))).samples
    assert sample.tokens == 14


def test_inspect_scorers_to_choose(tmp_path):
    scores = {
        "match": {"value": "C"},
        "judge": {"value": "I"},
        "reward": {"value": 0.75},
        "rubric": {"value": {"style": 3.5, "facts": True}},
        "unscored": {"value": float("nan")},
        "words": {"value": ["a", "b"]},
    }
    path = write_log(tmp_path / "log.json", inspect_sample(scores=scores))
    with pytest.raises(SettingsError, match="several scorers could be 'correct': match, judge, rubric/facts"):
        from_inspect(path)
    with pytest.raises(SettingsError, match="several scorers could be 'score': reward, rubric/style"):
        from_inspect(path, correct="judge")
    (sample,) = from_inspect(path, correct="rubric/facts", score="reward").samples
    assert (sample.correct, sample.score, sample.logit, sample.answer) == (True, 0.75, None, None)
    (sample,) = from_inspect(path, correct="match", score="rubric/style").samples
    assert (sample.correct, sample.score, sample.logit) == (True, None, 3.5)
    with pytest.raises(InvalidRecordError, match=r"samples\[0\]: words is not a finite number"):
        from_inspect(path, correct="match", score="words")
    with pytest.raises(SettingsError, match="has no scorer 'style'"):
        from_inspect(path, score="style")


def test_inspect_an_unscored_epoch_is_unknown(tmp_path):
    scores = {"reward": {"value": float("nan")}}
    path = write_log(tmp_path / "log.json", inspect_sample(scores={"reward": {"value": 0.5}}))
    log = json.loads(path.read_text())
    log["samples"] += [inspect_sample(epoch=2, scores=scores), inspect_sample(epoch=3, scores=None)]
    path.write_text(json.dumps(log))
    assert [sample.score for sample in from_inspect(path).samples] == [0.5, None, None]


def test_inspect_errors_are_left_out_aloud(tmp_path):
    failed = {"error": {"message": "timeout"}, "output": {}, "scores": None}
    path = write_log(
        tmp_path / "log.json", inspect_sample(1), inspect_sample(1, 2, **failed), inspect_sample(2, 1, **failed)
    )
    with pytest.warns(UserWarning, match=r"left out 2 samples that ended in an error, of \['1', '2'\]"):
        pool = from_inspect(path)
    assert [(question.id, len(question.samples)) for question in pool] == [("1", 1)]
    path = write_log(tmp_path / "log.json", inspect_sample(1, 2, **failed))
    with pytest.raises(InvalidRecordError, match=r"log\.json: all 1 samples ended in an error"):
        from_inspect(path)


FAULTS = [
    ({"id_": None}, r"samples\[1\]: id must be"),
    ({"epoch": "1"}, r"samples\[1\]: epoch must be int, got str"),
    ({"input": None}, r"samples\[1\]: input must be"),
    ({"input": ["x"]}, r"samples\[1\]: input: must be an object with content, got str"),
    ({"output": None}, r"samples\[1\]: output must be dict"),
    ({"output": {"choices": [{}]}}, r"samples\[1\]: message must be dict"),
    ({"scores": {"match": "C"}}, r"samples\[1\]: scores.match has no value"),
    ({"scores": {"match": {"answer": "2"}}}, r"samples\[1\]: scores.match has no value"),
    ({"output": {"completion": "2", "usage": {"output_tokens": "7"}}}, "usage: output_tokens must be int"),
]


@pytest.mark.parametrize(("changes", "complaint"), FAULTS)
def test_inspect_a_sample_that_cannot_be_read_is_left_out(tmp_path, changes, complaint):
    """It costs itself, not the log; the warning names it."""
    broken = inspect_sample(**{"id_": 1, "epoch": 2, **changes})
    path = write_log(tmp_path / "log.json", inspect_sample(), broken, inspect_sample(epoch=3))
    with pytest.warns(UserWarning, match=rf"left out 1 samples that cannot be read; the first: .*{complaint}"):
        pool = from_inspect(path)
    assert [sample.correct for sample in pool.samples] == [True, True]


@pytest.mark.parametrize(("changes", "complaint"), FAULTS)
def test_inspect_a_log_of_which_nothing_can_be_read(tmp_path, changes, complaint):
    path = write_log(tmp_path / "log.json", inspect_sample(**{"id_": 1, **changes}))
    with pytest.raises(InvalidRecordError, match=complaint.replace("[1", "[0")) as caught:
        from_inspect(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"epoch": 1}, r"samples\[1\]: sample '1' has an epoch 1 already"),
        ({"epoch": 2, "input": "Another?"}, r"samples\[1\]: 1 is another question"),
    ],
)
def test_inspect_samples_that_contradict_each_other(tmp_path, changes, complaint):
    path = write_log(tmp_path / "log.json", inspect_sample(), inspect_sample(**{"id_": 1, **changes}))
    with pytest.raises(InvalidRecordError, match=complaint) as caught:
        from_inspect(path)
    assert str(caught.value).startswith(str(path))


def said(epoch, text, answer, value="C", **changes):
    """An epoch in which a scorer found an answer, and says where."""
    scores = {"match": {"value": value, "answer": answer, "explanation": text}}
    output = {"choices": [{"message": {"role": "assistant", "content": text}}], "completion": text}
    return inspect_sample(1, epoch, scores=scores, output=output, **changes)


def test_inspect_answers_of_the_epochs_are_canonical(tmp_path):
    path = write_log(
        tmp_path / "log.json",
        said(3, "So 2.00", "2.00"),
        said(1, "It is $2.", "$2."),
        said(2, "Three!", None, "I"),
        said(4, r"\boxed{\frac{4}{2}}", r"\frac{4}{2}"),
        said(5, "2 cm", 2),
    )
    samples = list(from_inspect(path).samples)
    assert [sample.answer for sample in samples] == ["2", None, "2", "2", "2"]
    assert [sample.text for sample in samples][:2] == ["It is $2.", "Three!"]
    assert [sample.correct for sample in samples] == [True, False, True, True, True]


def test_inspect_a_whole_completion_is_no_answer(tmp_path):
    """Scorers such as `includes` and the model-graded ones name all that was said, `includes` in small letters."""
    path = write_log(
        tmp_path / "log.json",
        said(1, "The sum is 2.", "the sum is 2."),
        said(2, "2", "2"),
        said(3, "Thus, 2", "Thus, 2"),
    )
    assert [sample.answer for sample in from_inspect(path).samples] == [None, "2", None]
    assert [sample.answer for sample in from_inspect(path, extract="number").samples] == ["2", "2", "2"]


def test_inspect_a_candidate_that_never_came(tmp_path):
    """Cancelled, or refused by the provider: an error of the sample, an error of the output, or no output."""
    empty = {"output": {"model": "m", "choices": [], "completion": ""}, "scores": {}}
    refused = {"output": {"model": "m", "choices": [], "completion": "", "error": "refused"}}
    path = write_log(tmp_path / "log.json", inspect_sample(1), inspect_sample(2, **empty), inspect_sample(3, **refused))
    with pytest.warns(UserWarning, match=r"left out 2 samples that ended in an error, of \['2', '3'\]"):
        pool = from_inspect(path)
    assert [question.id for question in pool] == ["1"]
    assert pool.has_correct


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("gsm8k.v1.5.jsonl", "gsm8k.v1.5"),
        ("samples_gsm8k_2026-01-01T00-00-00.123456.jsonl.gz", "samples_gsm8k_2026-01-01T00-00-00.123456"),
        ("log.json", "log"),
        ("model-0.5", "model-0.5"),
        (".jsonl", ".jsonl"),
    ],
)
def test_a_pools_name_keeps_its_dots(tmp_path, file, name):
    line = json.dumps(harness_line()).encode()
    path = tmp_path / file
    path.write_bytes(gzip.compress(line) if file.endswith(".gz") else line)
    assert from_lm_eval(path).name == name
    if not file.endswith(".gz"):
        assert from_inspect(write_log(path, inspect_sample())).name == name


def test_inspect_wrong_files(tmp_path):
    path = tmp_path / "log.json"
    with pytest.raises(SettingsError, match="cannot be read"):
        from_inspect(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(InvalidRecordError, match=rf"inspect log convert .* --to json --output-dir {tmp_path}"):
        from_inspect(path)
    path.write_text("{")
    with pytest.raises(InvalidRecordError, match="not JSON"):
        from_inspect(path)
    with pytest.raises(InvalidRecordError, match="samples is not a list"):
        from_inspect(write_log(path, samples=None))
    with pytest.raises(InvalidRecordError, match=r"samples\[0\]: must be an object, got int"):
        from_inspect(write_log(path, 7))
    with pytest.raises(InvalidRecordError, match="no samples"):
        from_inspect(write_log(path))
