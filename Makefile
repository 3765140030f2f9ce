# `make help` lists what there is. Everything works from a fresh clone with rustup's toolchain and Go.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Linking several test binaries at once needs much memory.
export CARGO_BUILD_JOBS ?= 2

CRD := fairlead.dev_imageupdatepolicies.yaml

.PHONY: help
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Builds Fairlead and shows the whole story on this machine, in seconds
	@cargo build --quiet --bin fairlead
	@cargo run --quiet --bin fairlead -- demo

.PHONY: test
test: ## Checks everything: format, lints, core, unit, integration and e2e tests
	@bash .ci/test

.PHONY: build
build: ## Builds the release binary, target/release/fairlead
	cargo build --release --locked --bin fairlead

.PHONY: lint
lint: ## Checks the format, and denies every warning
	@bash .ci/test format lint core

.PHONY: unit
unit: ## Runs unit and integration tests; nothing but Rust is needed
	@bash .ci/test unit

.PHONY: e2e
e2e: ## Runs the e2e tests on a real API server and real registries
	@bash .ci/test tools e2e

.PHONY: e2e-argocd
e2e-argocd: ## Runs the e2e tests with Argo CD itself, from a push to Pods; its first build takes a quarter of an hour
	@bash .ci/test e2e-argocd

.PHONY: tools
tools: ## Builds the servers that the e2e tests need, once; minutes on a new machine
	@bash .ci/test tools

.PHONY: image
image: ## Makes the container image of a release without a daemon, target/image, and tests it; minutes
	@bash .ci/test image

.PHONY: crds
crds: ## Writes crds/ and the chart's copy anew from the Rust types
	@mkdir -p crds charts/fairlead/files/crds
	@cargo run --quiet --bin fairlead -- crd > crds/.$(CRD)
	@mv crds/.$(CRD) crds/$(CRD)
	@cp crds/$(CRD) charts/fairlead/files/crds/$(CRD)

.PHONY: generated
generated: ## Writes every generated file anew: crds, the chart's copy and list of values, the lists in docs/reference
	@FAIRLEAD_UPDATE_GENERATED=1 cargo test --quiet --workspace --test generated
	@FAIRLEAD_UPDATE_GENERATED=1 cargo test --quiet --workspace --test chart_rendered the_readme_lists_every_value

.PHONY: chart-snapshots
chart-snapshots: ## Renders the chart for each set of values in its ci/ anew; needs helm, which `make tools` builds
	@FAIRLEAD_UPDATE_GENERATED=1 cargo test --quiet --workspace --test scenarios sets_of_values_render_as_before

.PHONY: fuzz
fuzz: ## Fuzzes each target for a minute; needs the nightly toolchain
	@command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked --version 0.13.2
	@for target in constraint image_reference annotation_values select edit; do \
	  cargo +nightly fuzz run $$target -- -max_total_time=60 -timeout=5 -rss_limit_mb=1500 || exit 1; \
	done

.PHONY: bench
bench: ## Measures
	cargo bench --no-default-features --bench select
