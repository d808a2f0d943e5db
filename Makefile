# Every target is one line: the work is in the script it calls, which makes its own set-up first.
.PHONY: help test check clean .venv/ready

help: ; @awk -F' *# ' '/^[a-z-]+: ;/ { sub(/:.*/, "", $$1); printf "make %-9s %s\n", $$1, $$2 }' Makefile # this list
test: ; @scripts/test.sh $(ARGS) # all tests; the live ones where this kernel can be recorded (ARGS: for pytest)
check: ; @scripts/check.sh # lint, format and types
clean: ; @scripts/clean.sh # remove all that the targets made in this folder
.venv/ready: ; @scripts/setup.sh python
