"""Man pages and shell completion of both programs, made from their parsers: `python -m scripts.share docs/share`.

Turns argparse's own description into text for man(7), bash, zsh and fish, so that none of them can tell of an option
that is not there. Writes below the folder it is given, by the names that the shells and man look for.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

MODULES: Final = ("recorder.cli", "replay.cli")
# Option or argument whose value is a file, by what it is called in the help.
FILES: Final = frozenset({"FILE", "OUT", "OUTPUT", "PATH", "INPUT", "output", "cgroup"})

# What argparse never sees: (program, command) -> words
BEHIND_DASHES: Final = {("ebpf-rec", "capture"): "[-- COMMAND ARG ...]"}
EXIT_STATUS: Final = {
    "ebpf-rec": [
        ("0", "The recording was made, or the question answered."),
        ("1", "The recording is not what was asked for (the disk was full); no hook point matches."),
        ("2", "Usage: also targets and outputs that are not there or must not be used."),
        ("4", "This host cannot record; the message says what mends it."),
        ("other", "With a command its own status; 126 if it cannot be run, 127 if it was not found."),
    ],
    "ebpf-replay": [
        ("0", "Done."),
        ("1", "The thing asked about is not so: incomplete, or differing."),
        ("2", "Usage."),
        ("3", "The input is not a capture, or is damaged beyond reading."),
    ],
}
EXAMPLES: Final = {
    "ebpf-rec": [
        ("Record a running process and its children until Ctrl-C", "sudo ebpf-rec capture -o api.cap --pid 4242"),
        (
            "Record a command from its first call to its end",
            "sudo ebpf-rec capture -o run.cap -- curl http://localhost/",
        ),
        ("The last 2 GB, always at hand", "sudo ebpf-rec capture -o f.cap --port 80 --rotate-size 100M --keep 20"),
        ("See what this host can record", "sudo ebpf-rec doctor"),
    ],
    "ebpf-replay": [
        ("The exchanges, as a table", "ebpf-replay api.cap"),
        ("One JSON document for each", "ebpf-replay show api.cap --format jsonl"),
        ("Complete, or exactly what is missing", "ebpf-replay verify api.cap"),
        ("Watch a recording as it is made", "sudo ebpf-rec capture -o - --port 80 | ebpf-replay show - --follow"),
    ],
}


@dataclass(frozen=True)
class Command:
    """A subcommand (or, as "probes list", one of its own): its help line and its arguments."""

    name: str
    help: str
    actions: Sequence[argparse.Action]

    @property
    def options(self) -> list[argparse.Action]:
        """What begins with a dash."""
        return [action for action in self.actions if action.option_strings and action.help != argparse.SUPPRESS]


@dataclass(frozen=True)
class Program:
    """One program as its parsers describe it."""

    name: str
    summary: str
    commands: Sequence[Command]


def program(module: str) -> Program:
    """Read a program's parser, every command configured."""
    cli = importlib.import_module(module)
    parser = cli._parser("")
    commands = [command for name in cli.COMMANDS for command in _commands(cli, name)]
    return Program(parser.prog, parser.description or "", commands)


def _commands(cli: ModuleType, name: str) -> Iterator[Command]:
    help_line = cli.COMMANDS[name][1]
    parser = _subparsers(cli._parser(name))[name]
    yield Command(name, help_line, _arguments(parser))
    helps = {choice.dest: choice.help or "" for action in parser._actions for choice in _choices(action)}
    for inner, subparser in _subparsers(parser).items():
        yield Command(f"{name} {inner}", helps.get(inner, ""), _arguments(subparser))


def _choices(action: argparse.Action) -> list[argparse.Action]:
    return list(action._choices_actions) if isinstance(action, argparse._SubParsersAction) else []


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]


def help_of(action: argparse.Action) -> str:
    """An argument's help with its default filled in."""
    text = (action.help or "").replace("%%", "%")
    return re.sub(r"%\((\w+)\)s", lambda match: str(getattr(action, match[1])), text)


def value_of(action: argparse.Action) -> str:
    """What stands for the argument's value; "" for a switch."""
    if action.nargs == 0:
        return ""
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices and not action.metavar else name


def _troff(text: str) -> str:
    """Text that troff takes as it stands."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return re.sub(r"^\.", r"\&.", text, flags=re.MULTILINE)


def man(described: Program) -> str:
    """The page for section 1 (man-pages(7))."""
    lines = [f".TH {described.name.upper()} 1", ".SH NAME", f"{_troff(described.name)} \\- {_troff(described.summary)}"]
    lines += [".SH SYNOPSIS", f".B {_troff(described.name)}", r"\fICOMMAND\fR [\fIOPTION\fR ...]", ".SH COMMANDS"]
    for command in described.commands:
        positional = " ".join(value_of(action) for action in command.actions if not action.option_strings)
        positional = f"{positional} {BEHIND_DASHES.get((described.name, command.name), '')}".strip()
        lines += [
            f".SS {_troff(f'{command.name} {positional}'.strip())}",
            _troff(f"{command.help[:1].upper()}{command.help[1:]}."),
        ]
        for action in command.actions:
            names = ", ".join(action.option_strings) or value_of(action)
            value = value_of(action) if action.option_strings else ""
            lines += [".TP", f"\\fB{_troff(names)}\\fR {_troff(value)}".rstrip(), _troff(help_of(action))]
    lines.append(".SH EXIT STATUS")
    for status, meaning in EXIT_STATUS[described.name]:
        lines += [".TP", f".B {status}", _troff(meaning)]
    lines.append(".SH EXAMPLES")
    for what, how in EXAMPLES[described.name]:
        lines += [".TP", f"{_troff(what)}:", f".B {_troff(how)}"]
    others = ", ".join(f".BR {_troff(name)} (1)" for name in EXIT_STATUS if name != described.name)
    return "\n".join([*lines, ".SH SEE ALSO", others]) + "\n"


def _words(described: Program, command: str) -> list[str]:
    """What may follow a command that is not an option: the names of its own commands."""
    return [c.name.split()[1] for c in described.commands if c.name.startswith(f"{command} ")]


def bash(described: Program) -> str:
    """Completion for bash: by the command that stands on the line."""
    rows = []
    for command in described.commands:
        if " " not in command.name:
            inner = [c for c in described.commands if c.name.startswith(f"{command.name} ")]
            options = [text for c in (command, *inner) for action in c.options for text in action.option_strings]
            words = " ".join([*_words(described, command.name), *dict.fromkeys(options)])
            rows.append(f'        {command.name}) words="{words}" ;;')
    names = " ".join(c.name for c in described.commands if " " not in c.name)
    function = f"_{described.name.replace('-', '_')}"
    return "\n".join(
        [
            f"# bash completion for {described.name}",
            f"{function}() {{",
            '    local current="${COMP_WORDS[COMP_CWORD]}" words=""',
            '    case "${COMP_WORDS[1]}" in',
            *rows,
            "    esac",
            f'    [ "$COMP_CWORD" -eq 1 ] && words="{names} --help --version"',
            '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
            "}",
            f"complete -o default -F {function} {described.name}",
            "",
        ]
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def zsh(described: Program) -> str:
    """Completion for zsh, by _arguments."""
    top = [c for c in described.commands if " " not in c.name]
    lines = [f"#compdef {described.name}", "local -a commands", "commands=("]
    lines += [f"    {_quoted(f'{c.name}:{c.help}')}" for c in top]
    lines += [
        ")",
        "if (( CURRENT == 2 )); then",
        "    _describe command commands",
        "    return",
        "fi",
        "case $words[2] in",
    ]
    for command in top:
        inner = [c for c in described.commands if c.name.startswith(f"{command.name} ")]
        lines += [f"    {command.name})", "        _arguments \\"]
        for action in dict.fromkeys(action for c in (command, *inner) for action in c.options):
            lines += [f"            {_zsh_option(text, action)} \\" for text in action.option_strings]
        words = _words(described, command.name)
        rest = f"({' '.join(words)})" if words else "_files"
        lines += [f"            '*::argument:{rest}'", "        ;;"]
    return "\n".join([*lines, "esac", ""])


def _zsh_option(text: str, action: argparse.Action) -> str:
    help_line = re.sub(r"[\[\]:]", " ", help_of(action))
    value = value_of(action)
    if not value:
        return _quoted(f"{text}[{help_line}]")
    choices = f"({' '.join(map(str, action.choices))})" if action.choices else ("_files" if _is_file(action) else " ")
    return _quoted(f"*{text}[{help_line}]:{action.dest}:{choices}")


def _is_file(action: argparse.Action) -> bool:
    return value_of(action) in FILES or action.dest in FILES


def fish(described: Program) -> str:
    """Completion for fish, a line for each option."""
    lines = [f"# fish completion for {described.name}"]
    for command in described.commands:
        name, *inner = command.name.split()
        before = f"__fish_seen_subcommand_from {name}" if inner else "__fish_use_subcommand"
        lines.append(
            f"complete -c {described.name} -n {_quoted(before)} -f -a {(inner or [name])[0]} -d {_quoted(command.help)}"
        )
        seen = _quoted(f"__fish_seen_subcommand_from {(inner or [name])[0]}")
        for action in command.options:
            names = " ".join(f"-l {t[2:]}" if t.startswith("--") else f"-s {t[1:]}" for t in action.option_strings)
            value = f" -x -a {_quoted(' '.join(map(str, action.choices)))}" if action.choices else ""
            value = value or (" -r" if value_of(action) else "")
            lines.append(f"complete -c {described.name} -n {seen} {names}{value} -d {_quoted(help_of(action))}")
    return "\n".join([*lines, ""])


def texts(described: Program) -> dict[str, str]:
    """Path below a share folder -> text."""
    name = described.name
    return {
        f"man/man1/{name}.1": man(described),
        f"bash-completion/completions/{name}": bash(described),
        f"zsh/site-functions/_{name}": zsh(described),
        f"fish/vendor_completions.d/{name}.fish": fish(described),
    }


def main(folder: str) -> None:
    """Write everything below `folder`."""
    for module in MODULES:
        for path, text in texts(program(module)).items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            print(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.share FOLDER   (such as docs/share, or ~/.local/share)")
    main(sys.argv[1])
