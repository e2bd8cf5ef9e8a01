# The verbs. `make` lists them; each is one line that can be typed by hand as well.
.DEFAULT_GOAL := help
.PHONY: help run test lint generate cluster cluster-rights cluster-demo cluster-tools bench

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the quick start: sync examples/quickstart to the three systems, emulated in the process
	cargo run --locked -- sync examples/quickstart --sandbox

test: ## all tests
	cargo test --locked --workspace

lint: ## formatting and clippy, warnings being errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --test cluster --locked -- -D warnings
	cargo clippy --no-default-features --locked -- -D warnings

# The tests that compare the generated files with the types write them when they are told to. The files go first, so that
# one that is no longer generated does not stay.
generate: ## write crds/ and its copies in the chart, schemas/ and docs/checks.md anew from the types
	rm -f crds/scopeward.dev_*.yaml schemas/*.json docs/checks.md
	SCOPEWARD_GENERATE=1 cargo test --locked --test it -- current
	charts/generate
	examples/argocd/generate

cluster: ## the operator against a real API server, whose programs are built from Go modules once
	cargo test --locked --test cluster -- --test-threads=3

cluster-rights: ## take each right that the chart gives the operator away, one at a time: it has to be missed; minutes
	cargo test --locked --test cluster -- --ignored needs_every_right

cluster-demo: ## the example of examples/operator on an API server of this machine, without a container engine
	cargo build --locked
	tests/cluster/demo

bench: ## planning alone, and whole runs of the release binary against the sandbox
	cargo bench --locked

cluster-tools: ## build etcd, kube-apiserver, kubectl and helm for the tests against a cluster, with Go; once
	tests/cluster/tools/build
