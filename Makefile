# Everything is built below build/. `make help` lists the targets.
PREFIX ?= /usr/local
BUILD ?= build
CC ?= cc
V ?= 0
Q := $(if $(filter 0,$(V)),@)
SAY := $(if $(filter 0,$(V)),@printf '  %-7s %s\n')

VERSION := $(shell awk -F'"' '/define RPCFAN_VERSION "/{print $$2}' include/rpcfan/rpcfan.h)
SOMAJOR := 0

PKGS := libcurl libuv openssl jansson libcyaml yaml-0.1
# the fake node compresses its answers
CMD_PKGS := $(PKGS) zlib
ifneq ($(filter-out help clean install-deps format format-check dist,$(or $(MAKECMDGOALS),all)),)
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
             src/net/*.c src/client/*.c src/sink/*.c src/app/*.c))
CMD_SRC := $(sort $(wildcard src/cli/*.c src/sim/*.c))
TESTLIB_SRC := $(sort $(wildcard tests/lib/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/*/test_*.c))
SCEN_SRC := $(sort $(wildcard tests/scenario/*.c))
INT_SRC := $(sort $(wildcard tests/integration/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
EXAMPLE_SRC := $(sort $(wildcard examples/*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
bin = $(patsubst %.c,$(BUILD)/%,$(1))
LIB_OBJ := $(call obj,$(LIB_SRC))
CMD_OBJ := $(call obj,$(CMD_SRC))
SIM_OBJ := $(call obj,$(wildcard src/sim/*.c))
TESTLIB_OBJ := $(call obj,$(TESTLIB_SRC))

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BUILD)/rpcfan $(BUILD)/librpcfan.a $(BUILD)/librpcfan.so $(BUILD)/rpcfan.pc ## the command and the libraries

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

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

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TESTLIB_OBJ) $(SIM_OBJ) $(BUILD)/librpcfan.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMD_LIBS) -lcmocka -ldl

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

tests-build: all $(UNIT_BIN) $(INT_BIN) $(SCEN_BIN) $(EXAMPLE_BIN)

unit: $(UNIT_BIN) ## unit tests
	$(Q)scripts/run-tests unit $(UNIT_BIN)
scenario: $(SCEN_BIN) ## scenario files in virtual time
	$(Q)scripts/run-tests scenario $(SCEN_BIN)
integration: all $(INT_BIN) $(EXAMPLE_BIN) ## over loopback sockets against the fake node
	$(Q)BUILD=$(BUILD) scripts/run-tests integration $(INT_BIN) $(sort $(wildcard tests/integration/test_*.sh))

check: tests-build ## all tests that need nothing but Debian's packages
	$(Q)BUILD=$(BUILD) scripts/run-tests check $(UNIT_BIN) $(SCEN_BIN) $(INT_BIN) $(sort $(wildcard tests/integration/test_*.sh))

.PHONY: all help install-deps tests-build unit scenario integration check
