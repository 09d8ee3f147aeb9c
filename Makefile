# Strongroom's everyday commands. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help build ui licences ui-types demo test e2e lint fmt generate bench chaos soak image clean

VERSION ?= 0.1.0-dev
ARCH    ?= amd64,arm64
LDFLAGS  = $(shell build/ldflags $(VERSION))

# A module of its own version, run from source: golangci-lint would bring several hundred modules for the same findings.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

help: ## list these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

build: ui ## bin/strongroom, bin/vault (the same program) and bin/strongroom-operator
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/strongroom ./cmd/strongroom-operator
	ln -sf strongroom bin/vault

# What npm fetches stays in its own cache and in ui/node_modules; it runs again when the lock file has changed, and Vite when a source has.
ui: ui/dist/app/index.html.gz licences ## the web UI, which build puts into the server; needs Node.js 20.19 or later

ui/node_modules/.package-lock.json: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund
	touch $@

ui/dist/app/index.html.gz: ui/node_modules/.package-lock.json $(shell find ui/src ui/public ui/scripts ui/index.html ui/vite.config.ts ui/tsconfig.json ui/answers.json -type f)
	cd ui && npm run --silent build

# ui/answers.json is what the server's own OpenAPI document says of its answers; go test fails when it is not current, and so does the build when the types are not.
ui-types: ui/node_modules/.package-lock.json ## the web UI's types, of what the server says that it answers
	go test -count=1 -run TestTypesOfTheUIAreCurrent ./internal/server -update
	cd ui && npm run --silent types

# Which modules are in the server depends on every import: it is always looked at, and written only when it has changed.
licences:
	go run ./build/licences

# KUBECONFIG and DEMO_EXIT reach the program through its environment, given before make or after.
# It builds the rest itself, and says how far it is. Not by go run, which would leave it behind when it is told to end.
demo: ## the walkthrough on three servers and a Kubernetes; KUBECONFIG=FILE uses yours, DEMO_EXIT=1 ends after it
	@[ -e bin/demo ] || echo "compiling the demo itself: half a minute when nothing is cached"
	@go build -o bin/demo ./test/demo && exec bin/demo

test: ## everything: vet, unit tests, and those on a real Kubernetes, which it builds meanwhile
	./.ci/test

# KUBECONFIG=FILE make e2e: on that cluster, with three nodes or more that have the images (make image), in namespaces that it makes and removes again.
# What needs the power switches of nodes is left out there, and named.
e2e: ## the production guide on real pods, typed into a terminal, and the days on which things break; needs root
	STRONGROOM_E2E_KUBECONFIG=$(abspath $(KUBECONFIG)) go test -count=1 -timeout 40m -v -run TestPods ./test/e2e

lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

fmt: ## format the Go code
	gofmt -w $$(git ls-files '*.go')

generate: ## what is generated: deep copies, CRDs, RBAC
	go generate ./...

bench: build ## measure against a bare net/http server
	go run ./test/bench

# CHAOS_SEED=N repeats a run's choices; test/chaos/chaos_test.go says what else can be set.
chaos: ## break a cluster for CHAOS_MINUTES (10) while clients work, and check what they saw; needs root
	CHAOS_MINUTES=$${CHAOS_MINUTES:-10} go test -count=1 -timeout 0 -v -run TestChaos ./test/chaos

soak: ## work the operator for SOAK_MINUTES (10) while everything around it fails, and look at every revision of every Secret
	SOAK_MINUTES=$${SOAK_MINUTES:-10} go test -count=1 -timeout 0 -v ./test/soak

# ARCH=amd64 builds for one. busybox and the CA certificates are Debian's packages, so it wants apt-get; the Dockerfile brings its own.
image: ui ## dist/: container images of both programs as OCI archives, and what is in them; no Docker needed
	go run ./build/image -version $(VERSION) -arch $(ARCH) -out dist

clean: ## remove what build made; the test Kubernetes stays in its cache
	rm -rf bin dist ui/dist/app
