# legacybridge: `make demo` shows it, `make test` proves it.
GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT   ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
BUILT    ?= $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS   = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.built=$(BUILT)
BUILD     = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)"
FUZZTIME ?= 10s
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: demo build test prove mutants soak bench lint cross fuzz fuzz-ci

demo: build ## a simulated site, end to end; Ctrl-C stops it
	./legacybridge demo

build:
	$(BUILD) -o legacybridge ./cmd/legacybridge

# The race detector needs a C compiler.
RACE = $(shell command -v gcc >/dev/null && echo -race)

test: ## all tests; says what it leaves out where the independent peers are not installed
	@for p in mosquitto mosquitto_pub socat gcc; do PATH=$$PATH:/usr/sbin command -v $$p >/dev/null || echo "left out: the tests that need $$p, which is not installed"; done
	@/usr/bin/python3 -c 'import pymodbus' 2>/dev/null || echo "left out: the tests that need python3-pymodbus, which is not installed"
	$(GO) test $(RACE) ./...

# The proofs run without the race detector at the sizes whose figures README quotes: with it they would take ten times as long.
PROVED = TestModel$$|PowerCut|VerifyFinds|OneSync|RandomFaults|Flapping|ThousandReconnects|StaysFlat|Throttled|FullDisk|QueueThat|EachPolicy|FailedDisk|DiskThat|Killed|ManyReconnects|ClockThatJumps|Scalable|Silent
prove: ## the reliability table of README: power cuts, kills, full disks, faults, models; as root, with xfsprogs
	PROOF=ci $(GO) test -count 1 -v -timeout 15m $(PROVE) -run '$(PROVED)' ./cmd/legacybridge ./publisher ./publisher/queue ./publisher/localplatform

soak: ## the proofs for hours
	PROOF=soak $(GO) test -count 1 -v -timeout 0 -run '$(PROVED)' ./cmd/legacybridge ./publisher ./publisher/queue ./publisher/localplatform

mutants: ## plants each bug that the tests must find, and shows which test does
	$(GO) test -count 1 -v -tags mutants -run TestEveryPlantedBugIsKilled ./publisher/queue

bench: build ## speed and memory of the whole way and of its parts
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./cmd/legacybridge
	$(GO) test -run '^$$' -bench . -timeout 30m ./adapters/... ./mapping/... ./publisher/...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "the files above are not gofmt-ed"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

cross: dist/legacybridge-amd64 dist/legacybridge-arm64 dist/legacybridge-armv7 ## static builds for the machines that edge boxes are

.PHONY: dist/legacybridge-amd64 dist/legacybridge-arm64 dist/legacybridge-armv7
dist/legacybridge-amd64:
	GOOS=linux GOARCH=amd64 $(BUILD) -o $@ ./cmd/legacybridge
dist/legacybridge-arm64:
	GOOS=linux GOARCH=arm64 $(BUILD) -o $@ ./cmd/legacybridge
dist/legacybridge-armv7:
	GOOS=linux GOARCH=arm GOARM=7 $(BUILD) -o $@ ./cmd/legacybridge

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
	  done; done

# What equipment, files and the platform send is read by these.
FUZZED = adapters/csvfile:FuzzCSVRecord adapters:FuzzDecodeText adapters/serial:FuzzSerialFrame adapters/modbus:FuzzMBAP adapters/modbus:FuzzRTU \
	publisher/queue:FuzzRecordDecode publisher:FuzzTopicEncode mapping:FuzzCommand config:FuzzConfig mapping:FuzzMapping
fuzz-ci: ## those that read what comes from outside, for FUZZTIME each
	@set -e; for t in $(FUZZED); do \
	  echo $$t; $(GO) test -run '^$$' -fuzz "^$${t##*:}$$" -parallel 1 -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$${t%%:*}; done
