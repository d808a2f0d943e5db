"""What can be said before anything is loaded: a bad output name costs no compilation, and root never looks at it."""

from __future__ import annotations

import os

from recorder import output, privileges
from recorder.errors import OutputError, RecorderError
from recorder.options import Options


def output_as(identity: privileges.Identity, options: Options) -> output.Target:
    """What the output is, looked at by a child that has become `identity`: so that a bad name is told at once."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            privileges.drop(identity)
            target = check_output(options)
            os.write(writer, f"{target.kind}\0".encode())
            status = 0
        except (OutputError, RecorderError) as error:
            os.write(writer, f"{error.message}\0{error.mend}".encode())
            status = 2 if isinstance(error, OutputError) else 1
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        first, _, mend = pipe.read().decode(errors="replace").partition("\0")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0:
        return output.Target(options.output, first)
    raise (OutputError if status == 2 else RecorderError)(first or "cannot look at the output", mend)


def check_output(options: Options) -> output.Target:
    """`output.inspect`, and no old segments where this recording would put its own."""
    target = output.inspect(options.output, options.force)
    if not options.limits.rotates:
        return target
    if not target.is_file:
        raise OutputError(f"{options.output} cannot be rotated", "rotation needs a file")
    old = output.old_segments(options.output)
    if old and not options.force:
        raise OutputError(f"{old[0]} exists", "choose another name, or --force to replace the old segments")
    return target
