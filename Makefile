# Every target sets up what it needs; see `make help`.
SHELL := /bin/bash
PYTHON := .venv/bin/python
STAGE ?= dev
ARCH ?= arm64
MEDIA ?= ../shared/media
SOURCES := $(wildcard shared functions infra layers/build.py layers/lock.py layers/certificates.py local operate bench tests app.py)
TYPED := $(wildcard shared functions infra layers/build.py layers/lock.py layers/certificates.py local operate bench app.py)

.DEFAULT_GOAL := help
.PHONY: help setup up down clean logs status demo test sample-media check templates rehearsal format synth deploy diff bootstrap destroy layers accounts secrets smoke stores database bench-api bench-compile plan campaign fuzz odd-films browser

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

setup: ## Install dependencies into .venv (done by every other target when needed)
	@local/setup.sh

up: setup ## Start the local stack in the background and print its addresses
	@$(PYTHON) -m local up

down: setup ## Stop the local stack; its data stays
	@$(PYTHON) -m local down

clean: setup ## Stop the local stack and delete its data (dependencies stay)
	@$(PYTHON) -m local clean

logs: setup ## Follow the logs; PART=gateway or a function's name for one of them
	@$(PYTHON) -m local logs $(PART)

status: setup ## Say what runs, or what ended it
	@$(PYTHON) -m local status

demo: setup ## Run the main job on the local stack and leave the film in out/ (KEEP=1 leaves the stack up)
	@$(PYTHON) -m local demo $(ARGS)

test: setup ## Run all tests, file by file in three processes with a local stack each
	@$(PYTHON) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

sample-media: setup ## Only the tests on sample media: files that MANIFEST.json lists in a folder (MEDIA, default ../shared/media)
	@VSL_SAMPLE_MEDIA="$(abspath $(MEDIA))" $(PYTHON) -m pytest -k sample_media $(ARGS)

browser: ## Unpack Debian's Chromium below .local/opt for the tests that play films (they do it by themselves as well)
	@local/browser.sh

check: lint ## `lint`, and the templates of all stages (cdk-nag, cfn-lint, tests/infra)
	@$(PYTHON) -m pytest -q tests/infra

lint: setup ## Lint, formatting, types, the rules of the house
	@$(PYTHON) -m ruff check $(SOURCES)
	@$(PYTHON) -m ruff format --check --quiet $(SOURCES)
	@$(PYTHON) -m mypy $(TYPED)
	@$(PYTHON) -m pytest -q tests/unit/test_house_rules.py

templates: setup ## Synthesize all four stages in three regions and hold each against cdk-nag and cfn-lint
	@VSL_ALL_REGIONS=1 $(PYTHON) -m pytest -q tests/infra/test_nag.py

rehearsal: setup ## Create, update, roll back and delete whole templates in MiniStack; what it cannot take goes to docs/emulators.md
	@$(PYTHON) -m tests.infra.rehearsal

format: setup ## Format the sources and mend what the linter can
	@$(PYTHON) -m ruff check --fix --quiet $(SOURCES)
	@$(PYTHON) -m ruff format --quiet $(SOURCES)

synth: setup ## Synthesize the templates of STAGE (default dev) and print where they are
	@$(PYTHON) -m local synth $(STAGE)

bootstrap: setup ## Once for an account and region: what the CDK needs there (docs/deploying.md)
	@$(PYTHON) -m operate.cdk $(STAGE) bootstrap $(ARGS)

diff: setup ## What a deployment of STAGE would change
	@$(PYTHON) -m operate.cdk $(STAGE) diff $(ARGS)

deploy: setup ## Build layers and deploy STAGE to AWS with the credentials of the environment (docs/deploying.md)
	@$(PYTHON) -m operate.cdk $(STAGE) deploy $(ARGS)

destroy: setup ## Delete STAGE from AWS; what it keeps, and stages that are protected, stay
	@$(PYTHON) -m operate.cdk $(STAGE) destroy $(ARGS)

layers: setup ## Build the Lambda layers of ARCH (default arm64) into layers/build and weigh them
	@$(PYTHON) -m layers.build $(ARCH) layers/build/$(ARCH)

campaign: setup ## Go on with the long runs of faults and forgeries; results in docs/campaigns.jsonl
	@POWERTOOLS_METRICS_DISABLED=true $(PYTHON) -m tests.campaigns $(ARGS)

bench-compile: setup ## Our splice beside the reference method, and other ways; a table and docs/benchmarks/compile.jsonl
	@test -x .local/venv-moviepy/bin/moviepy-is-here || { $(PYTHON) -m venv .local/venv-moviepy && \
	  .local/venv-moviepy/bin/python -m pip install -qq -r bench/requirements-moviepy.txt && \
	  touch .local/venv-moviepy/bin/moviepy-is-here && chmod +x .local/venv-moviepy/bin/moviepy-is-here; }
	@$(PYTHON) -m bench.compile $(ARGS)

fuzz: setup ## Forge clips against the engine for 10 minutes, from where the last run came to; ARGS="--seconds 3600"
	@$(PYTHON) -m tests.fuzz $(ARGS)

odd-films: setup ## Join odd clips by seed and hold every film against what was generated; ARGS="--seed 7 --films 50 --keep out/odd"
	@POWERTOOLS_METRICS_DISABLED=true $(PYTHON) -m tests.odd_films $(ARGS)

bench-api: setup ## Measure status, webhook and generate on a stack of its own; a table and docs/benchmarks/api.jsonl
	@$(PYTHON) -m bench.api $(ARGS)

plan: setup ## Say how clips would be joined, at what cost: make plan CLIPS="a.mp4 b.mp4" (files, or ids of section videos)
	@$(PYTHON) -m local plan $(CLIPS)

accounts: setup ## Accounts of the local stack: make accounts ARGS="list" (see operate/accounts.py)
	@$(PYTHON) -m local accounts $(ARGS)

secrets: setup ## Secrets of the local stack: make secrets ARGS="list" (see operate/secrets.py for deployed stages)
	@$(PYTHON) -m local secrets $(ARGS)

smoke: setup ## Run the main job on the deployed STAGE with the key in VSL_API_KEY, check the film and erase all of it
	@$(PYTHON) -m $(if $(filter local,$(STAGE)),local smoke,operate.smoke --stage $(STAGE)) $(ARGS)

stores: setup ## Live view and dead letters of the local stack: make stores ARGS="rebuild" (see operate/stores.py)
	@$(PYTHON) -m local stores $(ARGS)

database: setup ## What operators ask the local stack's database: make database ARGS="turns" (see operate/database.py)
	@$(PYTHON) -m local database $(ARGS)
