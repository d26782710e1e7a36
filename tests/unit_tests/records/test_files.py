"""Files are replaced as a whole, have one writer, are private where they hold answers, and are read if sane."""

import gzip
import json
import os
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from langchain_core.outputs import Generation

from langchain_optscale.answers import AnswerModel
from langchain_optscale.cli.batch_file import Answers, Questions
from langchain_optscale.errors import DamagedFileError, FileError, InvalidRecordError, SettingsError
from langchain_optscale.evaluation.importers import from_inspect, from_lm_eval
from langchain_optscale.evaluation.pools import Pool, Question, Sample, read_pool, write_pool
from langchain_optscale.evaluation.recording import read_questions, record_pool
from langchain_optscale.records.files import lines_of, open_to_append, read_file, read_json, whole_file
from langchain_optscale.stats import Calibration, EmpiricalPrior, LogisticCalibration
from langchain_optscale.stopping import FittedStopping
from langchain_optscale.verifiers.composite.store import SQLiteStore
from tests.unit_tests.fakes import PlainPolicy

attack = pytest.mark.attack

PRIOR = EmpiricalPrior.fit([[0.91, 0.93, 0.92], [0.31, 0.35], [0.95, 0.94, 0.97]] * 5)
# A rule without stages leaves everything to the default, so it needs no fit.
RULE = FittedStopping(points=(1, 8), stages=())
POOL = Pool(tuple(Question(str(n), "?" * 50, (Sample(0.5, text="no" * 40),)) for n in range(60)))
SAVED = {
    "prior": (PRIOR.save, EmpiricalPrior.load),
    "calibration": (LogisticCalibration(-2.0, 4.0).save, Calibration.load),
    "answer model": (AnswerModel().save, AnswerModel.load),
    "rule": (RULE.save, FittedStopping.load),
    "pool": (lambda path: write_pool(POOL, path), lambda path: read_pool(path, name="pool")),
}
each_saved = pytest.mark.parametrize(("save", "load"), SAVED.values(), ids=SAVED)


def names_in(directory):
    return [path.name for path in directory.iterdir()]


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@attack("A save is interrupted by a full disk or a kill", "the previous file stays whole")
@each_saved
def test_a_save_that_fails_leaves_the_previous_file(tmp_path, save, load):
    path = tmp_path / "file"
    save(path)
    before, known = path.read_bytes(), load(path)
    code = f"""
        import resource, signal, sys
        from pathlib import Path
        from langchain_optscale.errors import FileError
        from tests.unit_tests.records.test_files import SAVED
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        save = SAVED[{next(name for name, pair in SAVED.items() if pair[0] is save)!r}][0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))  # what a full disk does
        try:
            save(Path({str(path)!r}))
        except OSError as error:
            assert isinstance(error, FileError), error
            sys.exit(0 if "cannot be written: File too large" in str(error) else 3)
        sys.exit(4)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before
    assert load(path) == known
    assert names_in(tmp_path) == ["file"]


@attack("A symbolic link lies where a file is written", "it is replaced or refused; what it points to stays")
@each_saved
def test_a_save_follows_no_link(tmp_path, save, load):
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text("precious")
    path.symlink_to(victim)
    save(path)
    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    load(path)


@each_saved
def test_a_save_keeps_the_mode(tmp_path, umask, save, load):
    path = tmp_path / "file"
    save(path)
    assert mode(path) == 0o644
    path.chmod(0o640)
    save(path)
    assert mode(path) == 0o640


@each_saved
def test_a_save_refuses_what_is_no_file(tmp_path, save, load):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="pipe cannot be written: it is not a regular file"):
        save(tmp_path / "pipe")
    with pytest.raises(FileError, match="cannot be written: Is a directory"):
        save(tmp_path)
    with pytest.raises(FileError, match="cannot be written: No such file or directory"):
        save(tmp_path / "no" / "where")
    if Path("/dev/stdout").exists():
        with pytest.raises(SettingsError, match="/dev/stdout cannot be written"):
            save("/dev/stdout")
    assert names_in(tmp_path) == ["pipe"]


def test_a_block_that_fails_writes_nothing(tmp_path):
    def half():
        with whole_file(tmp_path / "file") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert names_in(tmp_path) == []


# One writer at a time


def test_a_growing_file_has_one_writer(tmp_path):
    first = open_to_append(tmp_path / "file")
    with pytest.raises(SettingsError, match="is being written by another process"):
        open_to_append(tmp_path / "file")
    os.close(first)
    os.close(open_to_append(tmp_path / "file"))


def test_a_growing_file_is_no_link_and_no_pipe(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="is a symbolic link; name the file that it points to"):
        open_to_append(tmp_path / "link")
    with pytest.raises(SettingsError, match="is not a regular file"):
        open_to_append(tmp_path / "pipe")
    assert not (tmp_path / "victim").exists()


@attack("Two processes record into one file", "the second one is refused before it pays for anything")
def test_two_recordings_into_one_file(tmp_path):
    path = tmp_path / "pool.jsonl"
    questions = [Question(str(number), f"question {number}") for number in range(6)]
    began, go_on = threading.Event(), threading.Event()
    second = PlainPolicy(texts=["b"])

    def scored(prompt, candidate):
        began.set()
        assert go_on.wait(60)
        return 0.5

    first = threading.Thread(
        target=record_pool, args=(PlainPolicy(texts=["a"]), scored, questions, 2), kwargs={"path": path}
    )
    first.start()
    assert began.wait(20)
    with pytest.raises(SettingsError, match="is being written by another process"):
        record_pool(second, scored, questions, 2, path=path)
    go_on.set()
    first.join(60)
    assert second.requests == []
    assert len(read_pool(path)) == 6
    # The lock is gone with the recording.
    assert len(record_pool(second, scored, questions, 2, path=path)) == 6


# Batches and stores

LINES = [
    {"id": "a", "error": "boom", "asked": {}},
    {"id": "b", "answer": "7", "score": 1.0, "stop_reason": "X", "drawn": 1, "usage": {}, "asked": {}},
]


@attack("A link has the name of the temporary file of `batch --retry-failed`", "names are random; the mode is kept")
def test_retry_failed_writes_through_no_link(tmp_path, umask):
    path, victim = tmp_path / "answers.jsonl", tmp_path / "victim"
    victim.write_text("precious")
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    path.chmod(0o600)
    (tmp_path / "answers.jsonl.tmp").symlink_to(victim)
    with Answers(str(path), {}, retry_failed=True) as answers:
        assert "b" in answers
        assert "a" not in answers
        with pytest.raises(SettingsError, match="another process"):
            open_to_append(path)
    assert victim.read_text() == "precious"
    assert mode(path) == 0o600
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["b"]


@attack("Another user reads answers and verdicts", "answer files and stores are made with mode 0600")
def test_answers_and_verdicts_are_private(tmp_path, umask):
    with Answers(str(tmp_path / "answers.jsonl"), {}):
        pass
    store = SQLiteStore(tmp_path / "verdicts.sqlite")
    store.update("key", "check", [Generation(text="{}")])
    modes = {name: mode(tmp_path / name) for name in names_in(tmp_path)}
    store.close()
    assert set(modes.values()) == {0o600}, modes
    # What the user has opened to others stays so.
    (tmp_path / "answers.jsonl").chmod(0o644)
    with Answers(str(tmp_path / "answers.jsonl"), {}):
        pass
    assert mode(tmp_path / "answers.jsonl") == 0o644


# Reading

READERS = {
    "prior": EmpiricalPrior.load,
    "calibration": Calibration.load,
    "answer model": AnswerModel.load,
    "rule": FittedStopping.load,
    "pool": read_pool,
    "packed pool": read_pool,
    "questions": read_questions,
    "inspect": from_inspect,
    "lm_eval": from_lm_eval,
}
each_reader = pytest.mark.parametrize(("name", "read"), READERS.items(), ids=READERS)


def file_for(name, directory):
    return directory / ("file.jsonl.gz" if name == "packed pool" else "file")


@attack("A named pipe or a device in place of a file", "it is refused before it is read")
@each_reader
@pytest.mark.timeout(20)
def test_a_pipe_is_refused(tmp_path, name, read):
    path = file_for(name, tmp_path)
    os.mkfifo(path)
    with pytest.raises(InvalidRecordError, match=f"{path.name} is not a regular file"):
        read(path)
    with pytest.raises(InvalidRecordError, match="/dev/zero is not a regular file"):
        read("/dev/zero")


@each_reader
def test_a_missing_file_is_an_error_of_the_system(tmp_path, name, read):
    with pytest.raises((FileError, InvalidRecordError), match=r"cannot be read.*No such file"):
        read(tmp_path / "missing")


@attack("JSON nested a hundred thousand levels deep", "`InvalidRecordError`")
@each_reader
@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b'{"id": 1' + b"0" * 5000 + b"}"])
def test_hostile_json(tmp_path, name, read, content):
    path = file_for(name, tmp_path)
    path.write_bytes(gzip.compress(content) if name == "packed pool" else content)
    with pytest.raises(InvalidRecordError, match=path.name):
        read(path)


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    for read in (EmpiricalPrior.load, Calibration.load, FittedStopping.load, from_inspect, read_json):
        with pytest.raises(InvalidRecordError, match="large is too large: 1,099,511,627,776 bytes"):
            read(path)
    with pytest.raises(InvalidRecordError, match="line 1: longer than 67,108,864 bytes"):
        read_pool(path)
    assert read_file(__file__).startswith(b'"""Files')


@attack("A gzip bomb in place of a pool", "refused once it unpacks to 200 times its size")
def test_a_packed_pool_that_unpacks_to_gigabytes(tmp_path):
    one_line, many_lines = tmp_path / "line.jsonl.gz", tmp_path / "lines.jsonl.gz"
    one_line.write_bytes(gzip.compress(bytes(1 << 27), 1))
    many_lines.write_bytes(gzip.compress(b"\n" * (1 << 25), 1))
    for path in (one_line, many_lines):
        with pytest.raises(DamagedFileError, match="unpacks to more than 200 times its size"):
            read_pool(path)


def test_lines_are_bounded(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"abc\nde\nf")
    with path.open("rb") as file:
        assert list(lines_of(file, path, most=4)) == [(1, b"abc\n"), (2, b"de\n"), (3, b"f")]
    with path.open("rb") as file, pytest.raises(InvalidRecordError, match="lines, line 1: longer than 3 bytes"):
        list(lines_of(file, path, most=3))


def test_questions_of_a_batch_are_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="is not a regular file"):
        Questions(str(tmp_path / "pipe"))
