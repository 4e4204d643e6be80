# Everything a developer or CI runs. `make help` lists it. Nothing is written outside .cache, but what building a
# nats-server leaves in Go's own caches.

PYTHONS := sh tests/tools/python.sh
VENV := .cache/venv
RUN = PYTHONPATH=tests $(VENV)/bin/python
# Some tools will not start without a home.
export HOME := $(or $(HOME),$(CURDIR)/.cache/home)
# Extra words for pytest, for example: make unit PYTEST_ARGS='-k codec -x'
PYTEST_ARGS ?=
# What a developer's shell has set for Ansible must not change what is tested.
unexport ANSIBLE_CONFIG ANSIBLE_LIBRARY ANSIBLE_VAULT_PASSWORD_FILE

.PHONY: help test fuzz molecule lint sanity unit integration test-lines test-cores build demo bench ee awx-check awx-content architecture format changelog venv clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

test: venv ## all of lint, sanity, build, unit and integration, three molecule scenarios, two ansible-cores
	@$(RUN) -m tools.suite

lint: venv ## the static checks: ruff, mypy, yamllint, shellcheck, ansible-lint, antsibull
	@$(RUN) -m tools.lint

sanity: venv ## ansible-test sanity, all tests
	@$(RUN) -m tools.sanity

unit: venv ## the unit tests (PYTEST_ARGS for more words)
	@$(RUN) -m tools.tests unit $(PYTEST_ARGS)

integration: venv ## the integration tests, against real servers (NATSOPS_TEST_VERSION chooses the line)
	@$(RUN) -m tools.tests integration $(PYTEST_ARGS)

molecule: venv ## the molecule scenarios, one a runbook (MOLECULE_ARGS names some of them)
	@$(RUN) -m tools.molecule $(MOLECULE_ARGS)

test-lines: venv ## the integration tests marked `lines`, on every supported server line
	@$(RUN) -m tools.lines $(PYTEST_ARGS)

test-cores: venv ## a short real round on every supported ansible-core (CORES='2.16 2.21' for some of them)
	@$(RUN) -m tools.cores $(CORES)

fuzz: venv ## look at 10,000 spoilt backups (FUZZ_ARGS for more words: --cases, --first, --seed, --seconds)
	@$(RUN) -m tools.fuzz $(FUZZ_ARGS)

build: venv ## build the collection, then install it and run it from the tarball
	@$(RUN) -m tools.build

# The server is obtained while the environment is made: building it takes a minute, and needs no more than Python.
demo: ## a cluster loses a server, its quorum and everything, and comes back (VERB=node_loss: one chapter)
	@python="$$($(PYTHONS))" && { PYTHONPATH=tests "$$python" -m servers.binaries >/dev/null & } && \
	  "$$python" tests/tools/environment.py .cache/venv-demo tests/requirements-runtime.txt && wait
	@PYTHONPATH=tests .cache/venv-demo/bin/python -m demo.demo $(VERB)

bench: ## measure against the nats command line (BENCH_ARGS for more words)
	@python="$$($(PYTHONS))" && "$$python" tests/tools/environment.py .cache/venv-demo tests/requirements-runtime.txt
	@PYTHONPATH=tests .cache/venv-demo/bin/python tests/bench/run.py $(BENCH_ARGS)

ee: venv ## make the execution environment's build context, and run a play with its requirements
	@$(RUN) -m tools.ee

awx-check: venv ## AWX's rules alone: the content for a controller, and that each rule would see what breaks it
	@$(RUN) -m tools.awx.check
	@$(RUN) -m tools.tests unit tests/unit/awx $(PYTEST_ARGS)

awx-content: venv ## make the job templates, workflows and graphs anew from the roles and tests/tools/awx/content.py
	@$(RUN) -m tools.awx.content
	@$(RUN) -m tools.awx.mermaid

architecture: venv ## draw the diagram of docs/architecture.md anew from the imports
	@$(RUN) -m tools.architecture

format: venv ## bring all Python files into shape
	@$(VENV)/bin/ruff format
	@$(VENV)/bin/ruff check --fix

changelog: venv ## write CHANGELOG.md from the fragments, for the version in galaxy.yml
	@HOME='$(CURDIR)/.cache/home' PATH="$(CURDIR)/$(VENV)/bin:$$PATH" antsibull-changelog release --reload-plugins --update-existing --refresh

venv:
	@python="$$($(PYTHONS))" && "$$python" tests/tools/environment.py $(VENV) tests/requirements.txt

clean: ## remove everything that was made here
	rm -rf .cache
