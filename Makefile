# Targets for people; the work is in scripts/ and in CMakePresets.json.
#   PACKAGES=no   do not install Debian packages (they must be there)
.DEFAULT_GOAL := help
.PHONY: help build demo test bench format lint clean

install = $(if $(filter no,$(PACKAGES)),@:,@scripts/install_packages.sh)

help:
	@echo 'make build    install what is needed and build build/bin/awq (with CUDA where nvcc is found)'
	@echo 'make demo     build the CPU program, quantize a small model with it, measure both, and let it talk'
	@echo 'make test     build and run all tests and checks; what CI runs'
	@echo 'make bench    build and run the benchmarks'
	@echo 'make format   format the sources            make lint   run clang-tidy over them'
	@echo 'make clean    remove build/'

build:
	$(install)
	@scripts/build.sh release --cuda auto
	@echo 'ready: build/bin/awq --help'

demo:
	@scripts/demo.sh $(if $(filter no,$(PACKAGES)),--no-packages)

test:
	$(install) --tests --format
	@scripts/test.sh

bench:
	$(install) --bench
	@scripts/bench.sh

format:
	$(install) --format
	@scripts/check_format.sh --fix

lint:
	$(install) --tests --lint
	@scripts/lint.sh

clean:
	rm -rf build
