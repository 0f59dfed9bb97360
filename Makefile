.DEFAULT_GOAL := help
.PHONY: help setup run test test-pg lint fmt bench release ci

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Fetch the dependencies and the linter
	go mod download
	.ci/golangci-lint version

run: ## Serve on http://127.0.0.1:8000, on SQLite unless DATABASE_URL says otherwise
	go run .

test: ## Run the tests; those on PostgreSQL where it is found
	go test ./...

test-pg: ## Run the tests; without PostgreSQL (TEST_DATABASE_URL or initdb) they fail
	CI=true go test ./...

lint: ## Look for mistakes and departures from the house style
	.ci/golangci-lint fmt --diff
	.ci/golangci-lint run

fmt: ## Format the code
	.ci/golangci-lint fmt

bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

release: ## Build binaries for all platforms into dist/, with checksums and lists of what is in them
	.ci/goreleaser release --snapshot --clean

ci: ## Run everything that must hold before a change is merged
	.ci/run
