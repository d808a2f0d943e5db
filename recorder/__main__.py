"""`python -I -m recorder`, which `ebpf-rec` starts: the environment is left behind before anything is imported."""

import os
import sys

from recorder import isolation

if __name__ == "__main__":
    caller = isolation.enter(os.environ)

    from recorder.cli import main  # not before: what it imports must not see the caller's environment

    sys.exit(main(sys.argv[1:], caller))
