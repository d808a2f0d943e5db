"""The subcommands of ebpf-rec, a module each: `configure(parser)` and `run(arguments) -> exit status`."""
