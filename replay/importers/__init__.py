"""Other programs' recordings in, a capture file out: streams of rows, packets, system call logs.

Each importer reads one kind of recording and speaks to `recording.Recording`, which alone knows how a capture file is
written. Nothing here judges a protocol above TCP: that is the pipeline's work, the same for every source.
"""
