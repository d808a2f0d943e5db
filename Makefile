# Every target is one line: the work is in the script it calls, which makes its own set-up first.
.PHONY: help demo bpf test check fuzz wheel fixtures completeness box vm-test matrix bench share clean .venv/ready

help: ; @awk -F' [#] ' '/^[a-z-]+: ;/ { sub(/:.*/, "", $$1); printf "make %-9s %s\n", $$1, $$NF }' Makefile # this list
demo: ; @scripts/demo.sh # record a real server from the kernel and replay it
bpf: ; @scripts/bpf.sh $(BPF_CFLAGS) # compile the kernel program, load it without recording, print its size (BPF_CFLAGS: for the compiler)
test: ; @scripts/test.sh $(ARGS) # all tests; the live ones where this kernel can be recorded (ARGS: for pytest)
check: ; @scripts/check.sh # lint, format and types
fuzz: ; @scripts/fuzz.sh $(ARGS) # a short round of fuzzing the reader, the pipeline and the tools (ARGS: seconds)
wheel: ; @scripts/wheel.sh # build the package, install it in a clean environment, replay the fixtures with it
share: ; @scripts/share.sh $(ARGS) # man pages and shell completions into docs/share/ (ARGS: another folder)
fixtures: ; @scripts/fixtures.sh $(ARGS) # record the fixtures again, live (ARGS: names)
box: ; @scripts/vm.sh box # a Vagrant box from Debian's packages alone
vm-test: ; @scripts/vm.sh test # the live tests inside a virtual machine, and what must not run on a shared host
matrix: ; @scripts/vm.sh matrix $(ARGS) # the recorder on Debian's kernels 5.10 to the newest, into docs/kernels.md
completeness: ; @scripts/completeness.sh # what was captured, what is missing and what the kernel counted, into docs/completeness.md
bench: ; @scripts/bench.sh $(ARGS) # measure beside the alternatives, write docs/performance.md (ARGS: --full)
clean: ; @scripts/clean.sh # remove all that the targets made in this folder
.venv/ready: ; @scripts/setup.sh python
