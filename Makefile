# SPDX-License-Identifier: GPL-2.0-only
# The one entry point: `make help`.

KERNEL ?= 6.12
ALL_KERNELS := 6.1 6.12 6.1-cloud 6.12-cloud 6.1-rt 6.12-rt

# Headers of KERNEL from the cache, unless the caller has others.
KDIR ?= $(shell scripts/kernel headers $(KERNEL))
release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$(KDIR)/include/generated/utsrelease.h")
# HOOKS=1: the build for tests (shim/test.h), beside the other one.
build = $(release)$(if $(HOOKS),-hooks)
# A kernel that clang has built gets its modules from the same clang.
llvm = $(shell sed -n 's/^CONFIG_CLANG_VERSION=\([1-9][0-9]*\)[0-9]\{4\}$$/LLVM=-\1/p' "$(KDIR)/include/config/auto.conf")
kbuild = $(MAKE) --no-print-directory -C "$(KDIR)" M="$(CURDIR)/.build/$(build)" KEXTBRIDGE_DIR="$(CURDIR)" \
	PAHOLE="$(CURDIR)/scripts/pahole-nocxx" $(llvm) HOOKS="$(HOOKS)"

.PHONY: help all deps test-deps modules modules-if-new drivers userspace run test deep soak mutants host vm conformance bench lint clean install

help:
	@echo 'make run            install what is missing, build, boot a stock kernel, tell the story (KERNEL=6.1 for another)'
	@echo 'make test           lint, model, host ring, schedules, VM ring on stock and KASAN kernels, faults, canaries, fuzz, races'
	@echo 'make deep           what takes longer: KCSAN and CFI kernels, long counts, mutants; after make test'
	@echo 'make soak HOURS=n   goes on with new seeds and stops at the first failure'
	@echo 'make mutants        32 deliberate breaks of the two cores, each of which a test must notice'
	@echo 'make host           the host ring alone: plain, ASan+UBSan, TSan; a minute'
	@echo 'make vm KERNEL=K    the VM ring on one kernel: $(ALL_KERNELS)'
	@echo 'make conformance    a line per assertion, from the results of this commit'
	@echo 'make bench          instructions per request, cancel, retain; memory per request'
	@echo 'make lint           all that can be said without running it: warnings, lock discipline, analysers, checkpatch, style'
	@echo 'make modules        kextbridge.ko, kmdf.ko for KDIR=<kernel headers> or KERNEL=K, into .build/<release>; HOOKS=1: for tests'
	@echo 'make userspace      libkextbridge, kextd, kextctl, into userspace/build'
	@echo 'make install        user space and the SDK, into DESTDIR and PREFIX'
	@echo 'make clean          all that was built; the cache stays'

all: modules drivers userspace

deps:
	@scripts/install-deps build

test-deps:
	@scripts/install-deps build test

# The sources are linked into a folder per kernel, so that several kernels can be built side by side.
modules:
	@test -n "$(release)" || { echo "no kernel headers in KDIR=$(KDIR)" >&2; exit 1; }
	@mkdir -p .build/$(build) && cp -rsfn $(CURDIR)/Kbuild $(CURDIR)/module $(CURDIR)/shim .build/$(build)/
	+@$(kbuild) modules

# For who asks often: Kbuild takes seconds to say that nothing is new.
made_from = Kbuild Makefile module shim scripts/Makefile.cxx scripts/pahole-nocxx "$(KDIR)/include/config/auto.conf"
modules-if-new:
	+@made=.build/$(build)/.made; \
	if [ ! -e .build/$(build)/kmdf.ko ] || [ ! -e $$made ] || [ -n "$$(find $(made_from) -newer $$made -print -quit)" ]; then \
		mkdir -p .build/$(build) && touch $$made.begun && \
		$(MAKE) --no-print-directory modules && mv $$made.begun $$made; \
	fi

drivers: modules-if-new
	@$(MAKE) --no-print-directory -C selftests/drivers/sample KEXTBRIDGE="$(CURDIR)" KDIR="$(KDIR)" \
		OUT="$(CURDIR)/.build/$(release)/drivers/sample"
	@$(MAKE) --no-print-directory -C selftests/drivers/sample_user KEXTBRIDGE="$(CURDIR)" KDIR="$(KDIR)" \
		OUT="$(CURDIR)/.build/$(release)/drivers/sample_user" \
		EXTRA_SYMVERS="$(CURDIR)/.build/$(release)/drivers/sample/Module.symvers"
	@$(MAKE) --no-print-directory -C selftests/drivers/kmecho KEXTBRIDGE="$(CURDIR)" KDIR="$(KDIR)" \
		OUT="$(CURDIR)/.build/$(release)/drivers/kmecho"

userspace:
	@$(MAKE) --no-print-directory -C userspace

run: deps
	@scripts/kernel get $(KERNEL)
	@$(MAKE) --no-print-directory -s drivers userspace KERNEL=$(KERNEL)
	@scripts/run --kernel $(KERNEL)

test: test-deps
	@scripts/test

deep: test-deps
	@scripts/test --deep

soak: test-deps
	@selftests/soak $(HOURS)

mutants: test-deps
	@scripts/test mutants

host:
	@$(MAKE) --no-print-directory -C selftests/host test

vm:
	@$(MAKE) --no-print-directory -s drivers userspace KERNEL=$(KERNEL)
	@selftests/run-vm $(KERNEL)

conformance:
	@selftests/conformance

bench: deps
	@scripts/kernel get $(KERNEL)
	@$(MAKE) --no-print-directory -s drivers userspace KERNEL=$(KERNEL)
	@selftests/bench/run $(KERNEL)

lint:
	@scripts/lint

clean:
	rm -rf .build
	@$(MAKE) --no-print-directory -C userspace clean

install:
	@$(MAKE) --no-print-directory -C userspace install
	install -d $(DESTDIR)$(or $(PREFIX),/usr/local)/share/kextbridge/scripts
	cp -r shim/include --parents $(DESTDIR)$(or $(PREFIX),/usr/local)/share/kextbridge/
	cp scripts/driver.mk scripts/windows-sources scripts/Makefile.cxx scripts/pahole-nocxx $(DESTDIR)$(or $(PREFIX),/usr/local)/share/kextbridge/scripts/
