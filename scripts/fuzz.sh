#!/usr/bin/env bash
# A short round of coverage-guided fuzzing of the reader, the whole pipeline and the file tools: SECONDS of each (default 30). An
# input that breaks a promise is left in .cache/fuzz/, and the round fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly SECONDS_EACH=${1:-30}
scripts/setup.sh python
.venv/bin/python -c 'import atheris' 2>/dev/null || .venv/bin/pip -q install --disable-pip-version-check -e '.[fuzz]'
for target in read replay tools; do
    .venv/bin/python -m tests.fuzz.run "$target" "$SECONDS_EACH" 2>&1 | grep -v -e '^#' -e 'INFO: Instrumenting'
done
