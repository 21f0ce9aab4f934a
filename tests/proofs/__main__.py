"""``python -m tests.proofs TOOL``: run one of the contracts' proof tools, and exit 1 if anything does not hold."""

from __future__ import annotations

import argparse
import sys

from . import forge, halmos, planted, slither


def _forge(options: argparse.Namespace) -> bool:
    found = forge.run(forge.ROOT, forge.Depth(options.inputs, options.runs, options.acts, options.seed))
    print(found.text)
    for name, count in found.happened.most_common():
        print(f"{count:8} {name}")
    never = found.never()
    if never:
        print(f"never happened: {', '.join(never)}; more runs, or better steering")
    return found.held and not never


def _halmos(options: argparse.Namespace) -> bool:
    found = halmos.run(halmos.ROOT, options.only)
    print(found.text)
    print(f"proved: {', '.join(found.proved)}\nnot proved: {', '.join(found.refuted) or 'nothing'}")
    return found.held


def _slither(_: argparse.Namespace) -> bool:
    found = slither.run(slither.ROOT)
    for text in found.unexplained:
        print(f"new: {text}\n  fix it, or say in contracts/slither.json why it is no fault")
    for text in found.vanished:
        print(f"no longer found: {text}\n  remove it from contracts/slither.json")
    print(f"{found.found} findings, {len(found.unexplained)} unexplained, {len(found.vanished)} vanished")
    return found.held


def _planted(options: argparse.Namespace) -> bool:
    held = True
    for bug, said in planted.run(options.only):
        print(bug.what)
        for tool, seen in said.items():
            print(f"  {tool}: {'; '.join(seen) or 'NOTICED NOTHING'}", flush=True)
        held = held and all(said.values())
    return held


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    tools = parser.add_subparsers(required=True)
    one = tools.add_parser("forge", help="fuzz tests and invariants of the shipped Book")
    one.add_argument("--inputs", type=int, default=2_000, help="inputs a fuzz test")
    one.add_argument("--runs", type=int, default=200, help="runs of the invariants")
    one.add_argument("--acts", type=int, default=300, help="acts a run")
    one.add_argument("--seed", type=int, help="the same inputs and acts as another time")
    one.set_defaults(tool=_forge)
    two = tools.add_parser("halmos", help="properties of the shipped Book, proved for all values")
    two.add_argument("--only", default="check_", help="those whose names begin so")
    two.set_defaults(tool=_halmos)
    three = tools.add_parser("slither", help="what Slither finds is what contracts/slither.json explains")
    three.set_defaults(tool=_slither)
    four = tools.add_parser("planted", help="bugs planted in a copy, each of which its tools must notice")
    four.add_argument("--only", default="", help="those whose names hold this")
    four.set_defaults(tool=_planted)
    options = parser.parse_args()
    return 0 if options.tool(options) else 1


if __name__ == "__main__":
    sys.exit(main())
