# What CI runs are these same targets; see .ci/run.

GO          ?= go
# Two packages at a time; but for the largest of the end-to-end tests, which waits for much with its nodes.
TESTFLAGS   ?= -race -timeout 10m
BENCH       ?= .
STEPS       ?= 1000000
PROGRAMS    ?= 2000000

UNIT = $$($(GO) list ./... | grep -v /integration_test)
E2E  = $$($(GO) list ./integration_test/... | grep -vE '/integration_test(/chaos|/phoenix)?$$')

.DEFAULT_GOAL := help
.PHONY: help run build modules fmt fmt-check tidy-check vet staticcheck lint test unit client phoenix sockets e2e model compose-test lua fuzz simulate chaos chaos-short chaos-mutations bench bench-code soak smoke images ci clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## a node with the chat example on :6745
	$(GO) run ./cmd/node --dev

build: ## the binary bin/rollcall
	$(GO) build -trimpath -o bin/rollcall ./cmd/node

modules: ## fetch the modules, so that the rest needs no network
	$(GO) mod download

fmt: ## format the code
	gofmt -w .

fmt-check:
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi

tidy-check:
	$(GO) mod tidy -diff

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

lint: fmt-check tidy-check vet staticcheck ## format, go.mod, vet, staticcheck: all must be silent

test: ## every test; those whose tools are missing skip
	$(GO) test $(TESTFLAGS) ./...

unit: ## every test but the end-to-end ones
	$(GO) test $(TESTFLAGS) -p 2 $(UNIT)

client: ## clients/js: its types, tests, size and package (needs npm)
	cd clients/js && npm ci && npm run types && npm test && npm pack --dry-run

phoenix: ## clients of Phoenix and Supabase, unmodified, against nodes (needs npm); PHOENIX_STEPS=20000 is the long form
	cd integration_test/phoenix && npm ci
	cd examples/phoenix && npm ci
	$(GO) test $(TESTFLAGS) ./integration_test/phoenix

sockets: ## those whose system calls are others under -race, without it
	$(GO) test -count=1 ./rawsock ./wsconn

e2e: ## many nodes, real Redis, the browser, docker-compose
	$(GO) test $(TESTFLAGS) ./integration_test
	$(GO) test $(TESTFLAGS) -p 2 $(E2E)

model: ## the presence protocol through the model checker (spin, tcc)
	presence/model/check

compose-test: ## docker-compose.yml brought up for real (needs a Docker daemon)
	ROLLCALL_TEST_REQUIRE=1 $(GO) test -v -count=1 -timeout 10m ./integration_test/compose/

lua: ## random Lua programs here and in Debian's lua5.1, PROGRAMS of them (it takes two hours)
	$(GO) test -v -count=1 -timeout 24h -run TestSameAsPUC ./integration_test/lua51 -programs $(PROGRAMS) -seed $$(date +%s)

fuzz: ## programs and calls of the library's functions at random, ten minutes of each
	$(GO) test -run '^$$' -fuzz FuzzProgram -fuzztime 10m -fuzzminimizetime 1x ./luavm
	$(GO) test -run '^$$' -fuzz FuzzLibrary -fuzztime 10m -fuzzminimizetime 1x ./luavm

simulate: ## presence and history on many nodes in virtual time, STEPS steps of it, and whether its checks find mistakes
	$(GO) test -v -count=1 -timeout 2h ./integration_test/simulation -steps $(STEPS) -mutants 3000000

chaos: ## faults of every kind for a quarter of an hour, judged by what clients were told; ROLLCALL_CHAOS says what else
	ROLLCALL_CHAOS="$${ROLLCALL_CHAOS:-full}" $(GO) test -v -count=1 -timeout 2h -parallel 2 -run TestChaos ./integration_test/chaos

chaos-short: ## the same for two minutes, with fixed seeds, as CI does
	$(GO) test -v -count=1 -timeout 10m -run 'TestChaos|TestMutationsFit' ./integration_test/chaos

chaos-mutations: ## faults made in the product on purpose, each of which the chaos must find (ten minutes)
	ROLLCALL_CHAOS_MUTATIONS=1 $(GO) test -v -count=1 -timeout 1h -run TestMutations ./integration_test/chaos

bench: ## what a cluster costs, five runs of each scenario (two hours); BENCH=regexp chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 4h ./integration_test/load

soak: ## memory under slow consumers, floods and a huge room for ten minutes; draws docs/soak.svg
	$(GO) test -run '^$$' -bench Soak -benchtime 1x -timeout 1h ./integration_test/load -plot $(CURDIR)/docs/soak.svg

bench-code: ## Go benchmarks of the hot pieces; BENCH=regexp chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(UNIT)

smoke: ## the README's commands, on the binary
	.ci/smoke

images: ## images for docker-compose without a registry, from this machine's packages
	deploy/local-images.sh

ci: ## all of it, as CI does; installs Debian packages, needs root
	bash .ci/run

clean: ## what building left
	rm -rf bin
