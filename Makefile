# vxseal: `make demo` and `make test` are all a newcomer needs.
.DEFAULT_GOAL := help
.PHONY: help dependencies build release demo demo-kubernetes test simulation models bench bench-smoke check-micro micro scale networks flood rotations hotcheck fuzz-replay format lint deb deb-check json-fields pictures clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

dependencies: ## install what is missing, with apt-get
	@Tools/install-dependencies

build: dependencies ## debug build
	swift build --build-tests

# Where the toolchain has them, Swift's own libraries are linked in: the program then runs where no Swift is installed, and
# less of them is in memory.
swift_static := swift -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1_static/p'

# Of several --product swift build takes the last, hence once for each. Both have the same environment: with another one the
# manifest is evaluated anew. The plugin is wholly static then (Package.swift), for it is copied to hosts with another C library.
release: dependencies ## optimised build of vxseal and vxseal-cni; the packet path is checked by @_noLocks
	@static=; [ ! -d "$$($(swift_static))" ] || static=1; export VXSEAL_STATIC_PLUGIN=$$static; \
	for product in vxseal vxseal-cni; do \
		(set -x; swift build -c release --product $$product $${static:+--static-swift-stdlib}) || exit 1; \
	done

demo: release ## two sealed nodes and a kernel VXLAN node in namespaces of their own, on this machine
	.build/release/vxseal demo

demo-kubernetes: release ## a cluster in namespaces of its own: etcd, vxseal and flannel nodes, pods by vxseal-cni
	@Tools/install-dependencies --interop
	Tools/demo-kubernetes

test: build ## unit, property, vector and integration tests; VARIANTS=all: these with every offload off and each cipher too
	VXSEAL_TEST_VARIANTS=$(VARIANTS) swift test --skip-build

simulation: build ## gateways on virtual time under SEEDS seeds of each kind
	SIMULATION_SEEDS=$(or $(SEEDS),1000) swift test --skip-build --filter SimulationTests

models: dependencies ## search the protocol's Promela models with SPIN
	Models/run

rotations: release ## rotate keys of all kinds on a node with eight peers at full load
	Benchmarks/rotations

hotcheck: release ## no allocation, reference counting or exclusivity check in the per-packet functions
	Tools/hotcheck

bench: release ## measure veth, kernel VXLAN, other encrypted tunnels and vxseal side by side; compare with the targets
	@Tools/install-dependencies --bench
	Benchmarks/run --rounds $(or $(ROUNDS),3) --seconds $(or $(SECONDS),3)

bench-smoke: release ## one short round of it, without the other tunnels
	Benchmarks/run --smoke

check-micro: build ## type-check the micro-benchmarks against the packet path, without building their package
	Tools/check-micro

micro: dependencies ## time sealing, opening, forwarding, receiving, segmenting and coalescing
	swift package --package-path Benchmarks/Micro benchmark --no-progress

scale: release ## what 1 to 5,000 peers cost a packet, and 1,000 an idle daemon
	swift build --package-path Benchmarks/Micro -c release --product scale
	Benchmarks/Micro/.build/release/scale
	Benchmarks/idle

networks: release ## what 4,096 networks cost a node
	Benchmarks/networks

flood: release ## measure what a flood of handshakes costs an established session
	Benchmarks/flood

fuzz-replay: ## replay the committed fuzz corpora
	Fuzz/replay.sh

.PHONY: check-units
check-units: ## systemd's own view of the unit, the user and the directories
	Packaging/systemd/check

format: ## format the sources
	swift format -i --recursive Package.swift Sources Tests Fuzz/Sources Fuzz/Shared Fuzz/Replay Benchmarks/Micro/Package.swift Benchmarks/Micro/Sources Benchmarks/Micro/Benchmarks

deb: release ## a Debian package in .build: programs, man pages, completions, units, examples, dashboard
	@Tools/install-dependencies --package
	swift build --product generate-manual
	rm -rf .build/man && mkdir .build/man
	.build/debug/generate-manual .build/release/vxseal --multi-page --output-directory .build/man
	Packaging/deb .build/release/vxseal .build/man .build

deb-check: deb ## install the package in a clean Debian of its own, run it, and remove it
	Packaging/check $$(ls -t .build/vxseal_*.deb | head -1)

.PHONY: image-check
image-check: release ## run a node in the root of the Containerfile's image, as its user; needs root
	Packaging/image-check .build/release/vxseal

json-fields: ## write Documentation/json.md anew
	Tools/json-fields

pictures: release ## draw the pictures of README anew, from real output
	Tools/pictures

lint: ## formatting, file lengths, documentation of JSON fields
	@Tools/json-fields --check
	swift format lint --strict --recursive Package.swift Sources Tests Fuzz/Sources Fuzz/Shared Fuzz/Replay Benchmarks/Micro/Package.swift Benchmarks/Micro/Sources Benchmarks/Micro/Benchmarks
	@long=$$(git ls-files '*.swift' | xargs wc -l | awk '$$2 != "total" && $$1 > 600'); \
	if [ -n "$$long" ]; then echo "files over 600 lines:"; echo "$$long"; exit 1; fi

clean: ## remove what was built
	rm -rf .build .build-fuzz
