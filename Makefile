# Everything is built below build/. `make help` lists the targets.
PREFIX ?= /usr/local
BUILD ?= build
CC ?= cc
V ?= 0
Q := $(if $(filter 0,$(V)),@)
SAY := $(if $(filter 0,$(V)),@printf '  %-7s %s\n')

VERSION := $(shell awk -F'"' '/define RPCFAN_VERSION "/{print $$2}' include/rpcfan/rpcfan.h)
SOMAJOR := 0

PKGS := libcurl libuv openssl jansson libcyaml yaml-0.1 libwebsockets libzstd
# the fake node compresses its answers, and the index is kept in SQLite
CMD_PKGS := $(PKGS) zlib sqlite3
ifneq ($(filter-out help clean install-deps format format-check dist gates docs man uninstall,$(or $(MAKECMDGOALS),all)),)
  DEPS_OK := $(shell scripts/install-deps --check >/dev/null 2>&1 && echo yes)
  ifneq ($(DEPS_OK),yes)
    INSTALLED := $(shell scripts/install-deps 1>&2 && echo yes)
    ifneq ($(INSTALLED),yes)
      $(error the dependencies are missing and could not be installed: see scripts/install-deps)
    endif
  endif
endif

SANITIZE ?=
OPT ?= -O2 -g
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Wformat=2 \
        -Wmissing-prototypes -Wno-format-nonliteral $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIC
ifneq ($(SANITIZE),)
  OPT := -O1 -g -fno-omit-frame-pointer
  HARDEN := -fPIC
endif
CFLAGS ?=
LDFLAGS ?=
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(HARDEN) -fvisibility=hidden -Isrc -Iinclude \
              -Itests/lib $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
ALL_LDFLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE),-Wl,-z,relro,-z,now) $(LDFLAGS)
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread -lm
CMD_LIBS := $(shell pkg-config --libs $(CMD_PKGS) 2>/dev/null) -lpthread -lm

LIB_SRC := $(sort $(wildcard src/base/*.c src/json/*.c src/policy/*.c src/core/*.c src/feed/*.c \
             src/net/*.c src/client/*.c src/app/*.c))
CMD_SRC := $(sort $(wildcard src/cli/*.c src/sim/*.c src/sink/*.c))
TESTLIB_SRC := $(sort $(wildcard tests/lib/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/*/test_*.c))
SCEN_SRC := $(sort $(wildcard tests/scenario/*.c))
INT_SRC := $(sort $(wildcard tests/integration/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
# two programs of several files each: what is not a main belongs to both
BARS_SRC := $(sort $(wildcard tests/bars/*.c))
BARS_REAL_SRC := $(sort $(wildcard tests/bars/real/*.c))
EXAMPLE_SRC := $(sort $(wildcard examples/*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
bin = $(patsubst %.c,$(BUILD)/%,$(1))
# the rule table, compiled in
GEN_OBJ := $(BUILD)/gen/rules_text.o $(BUILD)/gen/profiles.o
PROFILES := $(sort $(wildcard configs/profiles/*.yaml))
LIB_OBJ := $(call obj,$(LIB_SRC)) $(GEN_OBJ)
CMD_OBJ := $(call obj,$(CMD_SRC))
# all of the command but its main: what tests link
PART_OBJ := $(filter-out %/main.o,$(CMD_OBJ))
TESTLIB_OBJ := $(call obj,$(TESTLIB_SRC))

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BUILD)/rpcfan $(BUILD)/librpcfan.a $(BUILD)/librpcfan.so $(BUILD)/rpcfan.pc ## the command and the libraries

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/profiles.c: $(PROFILES) scripts/embed-profiles
	@mkdir -p $(@D)
	$(SAY) GEN $@
	$(Q)scripts/embed-profiles $(PROFILES) > $@

$(BUILD)/gen/rules_text.c: src/core/rules.conf Makefile
	@mkdir -p $(@D)
	$(SAY) GEN $@
	$(Q){ printf '#include "core/rules.h"\nconst char rf_rules_builtin[] = {\n'; \
	  od -An -v -tu1 $< | sed -e 's/^ *//' -e 's/  */,/g' -e 's/$$/,/'; printf '0};\n'; } >$@

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c src/core/rules.h src/app/profile.h
	$(SAY) CC $<
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/librpcfan.a: $(LIB_OBJ)
	$(SAY) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/librpcfan.so.$(VERSION): $(LIB_OBJ)
	$(SAY) LD $@
	$(Q)$(CC) -shared -Wl,-soname,librpcfan.so.$(SOMAJOR) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/librpcfan.so: $(BUILD)/librpcfan.so.$(VERSION)
	$(Q)ln -sf $(<F) $(BUILD)/librpcfan.so.$(SOMAJOR) && ln -sf librpcfan.so.$(SOMAJOR) $@

$(BUILD)/rpcfan: $(CMD_OBJ) $(BUILD)/librpcfan.a
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMD_LIBS)

$(BUILD)/rpcfan.pc: scripts/rpcfan.pc.in Makefile
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TESTLIB_OBJ) $(PART_OBJ) $(BUILD)/librpcfan.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMD_LIBS) -lcmocka -ldl

BARS_BIN := $(BUILD)/tests/bars/bars $(BUILD)/tests/bars/fleet
$(BARS_BIN): $(filter-out %/bars.o %/fleet.o,$(call obj,$(BARS_SRC)))
BARS_REAL := $(BUILD)/tests/bars/real/bars_real
$(BARS_REAL): $(call obj,$(BARS_REAL_SRC)) $(PART_OBJ) $(BUILD)/librpcfan.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMD_LIBS) -ldl

BARS_INDEX := $(BUILD)/tests/bars/index/feed_bar

$(BUILD)/examples/%: examples/%.c $(BUILD)/librpcfan.a
	@mkdir -p $(@D)
	$(SAY) EXAMPLE $@
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

-include $(wildcard $(BUILD)/obj/*/*.d $(BUILD)/obj/*/*/*.d $(BUILD)/obj/*/*/*/*.d)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

UNIT_BIN := $(call bin,$(UNIT_SRC))
INT_BIN := $(call bin,$(INT_SRC))
SCEN_BIN := $(call bin,$(SCEN_SRC))
FUZZ_BIN := $(call bin,$(FUZZ_SRC))
BENCH_BIN := $(call bin,$(BENCH_SRC))
EXAMPLE_BIN := $(call bin,$(EXAMPLE_SRC))

install-deps: ## install what building and testing need (Debian, as root or with sudo)
	scripts/install-deps

tests-build: all $(UNIT_BIN) $(INT_BIN) $(SCEN_BIN) $(EXAMPLE_BIN) $(BENCH_BIN)

INT_SH := $(sort $(wildcard tests/integration/test_*.sh))
export BUILD CC

demo: all ## 100,000 calls against the bundled fake node
	$(Q)scripts/demo

unit: $(UNIT_BIN) ## unit tests
	$(Q)scripts/run-tests unit $(UNIT_BIN)
scenario: $(SCEN_BIN) ## scenario files in virtual time
	$(Q)scripts/run-tests scenario $(SCEN_BIN)
integration: all $(INT_BIN) $(EXAMPLE_BIN) ## over loopback sockets against the fake node
	$(Q)scripts/run-tests integration $(INT_BIN) $(INT_SH)

check: tests-build ## all tests that need nothing but Debian's packages
	$(Q)scripts/run-tests check $(UNIT_BIN) $(SCEN_BIN) $(INT_BIN) $(INT_SH)

real: all ## against real nodes: Ethereum (anvil) and a Solana runtime (LiteSVM), from npm
	$(Q)scripts/install-deps --real
	$(Q)tests/real/run
	$(Q)tests/real/solana/run

peers: all ## the same calls by viem, ethers and rpcfan (viem and ethers from npm)
	$(Q)scripts/install-deps --real
	$(Q)tests/real/peers/run

bars-real: all $(BARS_REAL) ## bars over loopback against the fake node, some minutes; BAR13_MINUTES=10 for bar 13 at full length
	$(Q)BAR13_MINUTES=$(BAR13_MINUTES) tests/bars/real/run

SEEDS ?= 20
SLOTS ?= 50000
WORLDS := $(BUILD)/tests/unit/feed/test_feed_worlds
CUTS ?= 1000
KILLS ?= 50
STORMS := $(BUILD)/tests/integration/test_feed_chaos $(BUILD)/tests/integration/test_index_kill
soak: all $(WORLDS) $(STORMS) ## feeds for longer: SEEDS (20) worlds of SLOTS (50000), CUTS (1000) connections, KILLS (50)
	$(Q)for t in $(STORMS); do CUTS=$(CUTS) KILLS=$(KILLS) VERBOSE=1 $$t || exit 1; done
	$(Q)SEEDS=$(SEEDS) SLOTS=$(SLOTS) VERBOSE=1 $(WORLDS)

MUTANT_TESTS := $(addprefix $(BUILD)/tests/,unit/feed/test_feed_worlds \
                  $(shell sed -n 's/^test //p' tests/mutants.list | sort -u))
mutants: $(MUTANT_TESTS) ## deliberate faults of the client, each of which a test must find
	$(Q)scripts/mutants
# for scripts/mutants
print-cflags:
	@echo '$(ALL_CFLAGS)'
print-libs:
	@echo '$(CMD_LIBS)'
print-parts:
	@echo '$(TESTLIB_OBJ) $(PART_OBJ)'

bars-index: all $(BARS_INDEX) ## the figures of rpcfan index over loopback, some ten minutes
	$(Q)tests/bars/index/run

bench: all $(BENCH_BIN) ## speed and memory, as ratios against bare libcurl in the same run
	$(Q)scripts/bench

bars: $(BARS_BIN) ## the bars: figures of five seeds in virtual time, exit 1 where one is missed
	$(Q)$(BUILD)/tests/bars/bars
fleet: $(BARS_BIN) ## the fleet study: many clients on one key; rewrites docs/fleet.csv, .svg and the table
	$(Q)scripts/fleet

# The sanitizers run every test program; the shell scripts run once, without them, in `check`.
asan: ## address and undefined-behaviour sanitizers
	$(Q)$(MAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined sanitized
tsan: ## thread sanitizer
	$(Q)TSAN_OPTIONS=halt_on_error=1 $(MAKE) BUILD=$(BUILD)/tsan SANITIZE=thread sanitized
ubsan: ## undefined-behaviour sanitizer alone
	$(Q)$(MAKE) BUILD=$(BUILD)/ubsan SANITIZE=undefined sanitized
SANITIZED_BIN := $(filter-out %_sim,$(UNIT_BIN)) $(SCEN_BIN) $(INT_BIN)
sanitized: all $(SANITIZED_BIN)
	$(Q)UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 scripts/run-tests sanitized $(SANITIZED_BIN)

valgrind: $(UNIT_BIN) $(SCEN_BIN) ## unit tests and scenarios under valgrind
	$(Q)for t in $(filter-out %_props %_accounting %_worlds %_random %_sim,$(UNIT_BIN)) $(SCEN_BIN); do \
	  echo "$$t"; valgrind -q --error-exitcode=9 --leak-check=full $$t >/dev/null 2>$(BUILD)/valgrind.log || \
	  { cat $(BUILD)/valgrind.log; exit 1; }; done

coverage: ## line coverage of the unit tests and scenarios, per file
	$(Q)$(MAKE) BUILD=$(BUILD)/cov OPT='-O0 -g --coverage' unit scenario
	$(Q)find $(BUILD)/cov/obj/src -name '*.gcda' | while read -r f; do \
	  gcov -n -o "$${f%/*}" "$$f" 2>/dev/null; done | awk '/^File .src/{f=$$2} /^Lines/{if(f){print $$0, f; f=""}}' | sort -u

FUZZ_CFLAGS := -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
               -fno-sanitize-recover=undefined -Isrc -Iinclude
FUZZ_SECONDS ?= 600
$(BUILD)/fuzz/%: tests/fuzz/%.c $(wildcard src/json/*.[ch] src/base/*.[ch])
	@mkdir -p $(@D)
	$(SAY) FUZZ $@
	$(Q)clang $(FUZZ_CFLAGS) -o $@ $< $(filter src/json/%.c src/base/%.c,$^) -ljansson
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
fuzz: $(FUZZ_TARGETS) ## the fuzzers, FUZZ_SECONDS (600) each
	$(Q)for f in $(FUZZ_TARGETS); do mkdir -p $$f.corpus && \
	  $$f -max_total_time=$(FUZZ_SECONDS) -max_len=4000 -artifact_prefix=$(BUILD)/fuzz/ $$f.corpus 2>&1 | tail -n 5 || exit 1; done
fuzz-smoke: ## the fuzzers for 20 seconds each
	$(Q)$(MAKE) FUZZ_SECONDS=20 fuzz

SRC_ALL = $(wildcard src/*/*.[ch] include/rpcfan/*.h tests/*/*.[ch] tests/*/*/*.[ch] examples/*.c)
format: ## format the code
	clang-format -i $(SRC_ALL)
format-check: ## fail where the code is not formatted
	$(Q)clang-format --dry-run -Werror $(SRC_ALL)
tidy: ## clang-tidy
	$(Q)clang-tidy --quiet $(LIB_SRC) $(CMD_SRC) -- -std=c11 -D_GNU_SOURCE -Isrc -Iinclude 2>&1 | \
	  grep -v 'warnings generated' | tee $(BUILD)/tidy.log; ! grep -qE '(warning|error):' $(BUILD)/tidy.log
gates: ## style, direction of includes, configuration keys, man pages
	$(Q)scripts/gate-style
	$(Q)scripts/gate-rooms
	$(Q)scripts/gate-config-keys
	$(Q)scripts/gate-man

MAN := $(sort $(wildcard man/*.[135]))
docs man: $(patsubst man/%,$(BUILD)/man/%.txt,$(MAN)) ## the man pages as text, in build/man
$(BUILD)/man/%.txt: man/%
	@mkdir -p $(@D)
	$(Q)mandoc -T utf8 $< | col -b > $@

install: all ## below PREFIX (/usr/local), DESTDIR respected
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	  $(DESTDIR)$(PREFIX)/include/rpcfan $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	  $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/rpcfan
	install -m 755 $(BUILD)/rpcfan $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(BUILD)/librpcfan.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(BUILD)/librpcfan.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/
	ln -sf librpcfan.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/librpcfan.so.$(SOMAJOR)
	ln -sf librpcfan.so.$(SOMAJOR) $(DESTDIR)$(PREFIX)/lib/librpcfan.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' scripts/rpcfan.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/rpcfan.pc
	install -m 644 include/rpcfan/*.h $(DESTDIR)$(PREFIX)/include/rpcfan/
	for m in $(MAN); do install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done
	install -m 644 scripts/completions/rpcfan.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/rpcfan
	install -m 644 scripts/completions/_rpcfan $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 configs/*.yaml $(DESTDIR)$(PREFIX)/share/rpcfan/
	-[ -n "$(DESTDIR)" ] || ldconfig

uninstall: ## what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/rpcfan $(DESTDIR)$(PREFIX)/lib/librpcfan.* \
	  $(DESTDIR)$(PREFIX)/lib/pkgconfig/rpcfan.pc \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/rpcfan \
	  $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_rpcfan
	for m in $(MAN); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done
	rm -rf $(DESTDIR)$(PREFIX)/include/rpcfan $(DESTDIR)$(PREFIX)/share/rpcfan

dist: ## build/rpcfan-VERSION.tar.gz of what is committed
	@mkdir -p $(BUILD)
	git archive --prefix=rpcfan-$(VERSION)/ -o $(BUILD)/rpcfan-$(VERSION).tar.gz HEAD

clean: ## remove build/
	rm -rf $(BUILD)

.PHONY: all help install-deps tests-build demo unit scenario integration check real peers soak mutants \
        print-cflags print-libs print-parts bench bars fleet bars-real bars-index asan tsan \
        ubsan sanitized valgrind coverage fuzz fuzz-smoke format format-check tidy gates docs man \
        install uninstall dist clean
