"""`python -m recorder`: the same as `ebpf-rec`."""

import sys

from recorder.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
