"""The kernel program, in C for bcc. A package only so that the wheel carries the sources."""
