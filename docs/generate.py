"""Writes docs/reference/cli.md and docs/reference/api.md from the source. ``python docs/generate.py`` after a change.

A test compares the files with what this writes, so a reference cannot drift from the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- Written by docs/generate.py: change the source, then run it again. -->"
MODULES = ("app", "app.playing", "app.handing", "app.keeping", "app.onchain", "app.paying", "app.checking",
           "app.formats", "app.place", "app.running", "app.workload",
           "learn.adapters", "learn.adapters.partial", "learn.adapters.sklearn", "learn.adapters.lora", "learn.code",
           "learn.slow.outer", "learn.slow.worker", "learn.slow.link", "learn.slow.local", "learn.slow.recheck",
           "app.market", "app.tending", "app.loading", "flows.sale", "flows.sale_words",
           "flows.parts", "flows.terms", "flows.roles", "flows.round", "flows.masked", "core.ports",
           "core.errors", "core.verdicts", "verify.trust")
STATUSES = (
    (0, "done, or upheld"), (1, "refuted: the evidence contradicts what was said"),
    (2, "misuse or bad input: it cannot be read, or makes no sense"),
    (3, "undecidable: it could not be checked"), (4, "pending: not yet"),
    (5, "something outside failed: the disk, the network, a chain"),
)


def commands() -> Iterator[tuple[str, Any]]:
    """(full name, command) of every command of the command line, in the order of ``--help``."""
    import typer  # the api page needs no command line

    from troth.cli.main import app

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for child, inner in command.commands.items():
                yield from walk(f"{name} {child}", inner)
        else:
            yield name, command

    yield from walk("troth", typer.main.get_command(app))


def cli() -> str:
    """docs/reference/cli.md."""
    lines = ["# Commands", "", NOTE, "",
             "A command works in the workspace at or above the current folder, or in `--home`, or in `TROTH_HOME`.",
             "The passphrase comes from `TROTH_PASSPHRASE` or is asked for; it is never on the command line. Every",
             "setting of `troth.toml` has an environment variable too: `TROTH_WORKSPACE_NAME`, `TROTH_CHAIN_URL`,",
             "`TROTH_EXCHANGE_PATH`. Every command takes `--json`; errors go to stderr and say what to do.", "",
             "A claim or a deal may be named by the first 16 or more of its 64 hex digits, where the claim is in this",
             "workspace's log or the deal in its Book. Where several begin so, they are named and nothing is done.",
             "`--json` prints whole ids.", "",
             "| exit status | means |", "|---|---|"]
    lines += [f"| {status} | {meaning} |" for status, meaning in STATUSES]
    for name, command in commands():
        lines += ["", f"## {name}", "", command.help, "", f"    {name}{''.join(map(_usage, command.params))}"]
        rows = [_row(param) for param in command.params if param.name != "help"]
        if rows:
            lines += ["", "| | | |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _is_option(param: Any) -> bool:
    return bool(param.param_type_name == "option")


def _label(param: Any) -> str:
    if not _is_option(param):
        return str(param.name).upper()
    value = "" if param.is_flag else f" {str(param.name).upper()}"
    return ", ".join(param.opts) + value


def _usage(param: Any) -> str:
    if param.name in ("help", "as_json"):
        return ""
    if _is_option(param):
        shown, many = param.opts[-1] + ("" if param.is_flag else f" {str(param.name).upper()}"), param.multiple
    else:
        shown, many = str(param.name).upper(), param.nargs == -1
    return (f" {shown}" if param.required else f" [{shown}]") + ("…" if many else "")


def _row(param: Any) -> str:
    default = param.default
    told = "required" if param.required else f"default `{default}`" if isinstance(default, str | int | Path) and \
        not isinstance(default, bool) else ""
    return f"| `{_label(param)}` | {param.help or ''} | {told} |".replace("  ", " ")


def api() -> str:
    """docs/reference/api.md."""
    lines = ["# Python", "", NOTE, "",
             "`import troth` offers the names below; each is loaded when it is first used. Accounts are 20 bytes,",
             "claim ids and deal ids 32 bytes, money an integer in the token's smallest unit, times Unix seconds.",
             "Errors are those of [`troth.core.errors`](#trothcoreerrors).", "", "| name | from |", "|---|---|"]
    lines += [f"| `troth.{name}` | `{module}` |" for name, module in sorted(_public().items())]
    for module in MODULES:
        lines += ["", f"## troth.{module}", "", *_module(_source(module))]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _public() -> dict[str, str]:
    import troth  # only the page of names needs the package itself

    return {name: getattr(troth, name).__module__ for name in troth.__all__}


def _source(module: str) -> Path:
    place = ROOT / "src" / "troth" / module.replace(".", "/")
    return place / "__init__.py" if place.is_dir() else place.with_name(f"{place.name}.py")


def _module(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield _first(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            yield from ("", f"### {node.name}{f'({bases})' if bases else ''}", "", _first(node))
            fields = [f"- `{ast.unparse(item)}`" for item in node.body if isinstance(item, ast.AnnAssign)
                      and isinstance(item.target, ast.Name) and not item.target.id.startswith("_")]
            methods = [line for item in node.body if isinstance(item, ast.FunctionDef) for line in _function(item)]
            yield from ("", *fields, *methods)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield from ("", *_function(node))


def _function(node: ast.FunctionDef) -> Iterator[str]:
    marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
    text = _first(node)
    if node.name.startswith("_") or not text:
        return
    returns = ast.unparse(node.returns) if node.returns else "None"
    if marks & {"property", "cached_property"}:
        yield f"- `{node.name}: {returns}`. {text}"
        return
    arguments = ast.unparse(node.args)
    for own in ("self", "cls"):
        arguments = arguments.removeprefix(own).removeprefix(", ") if arguments.split(",")[0] == own else arguments
    yield f"- `{node.name}({arguments}) -> {returns}`. {text}"


def _first(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split()).replace("``", "`").removesuffix(" ::")


def pages() -> dict[Path, str]:
    """What each generated file must hold."""
    return {REFERENCE / "cli.md": cli(), REFERENCE / "api.md": api()}


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
