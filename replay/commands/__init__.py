"""The subcommands of ebpf-replay, a module each: `configure(parser)` and `run(arguments) -> exit status`."""
