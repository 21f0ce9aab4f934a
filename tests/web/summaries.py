"""A run's summary as ``troth demo`` hands it to the report, small and fixed: eight rounds of four hospitals."""

from __future__ import annotations

import hashlib
from typing import Any

UNIT = 10**18
HOSPITALS = [f"hospital-{n}" for n in range(1, 5)]
PARTIES = [*HOSPITALS, "sponsor", "aggregator", "verifier-1", "verifier-2", "verifier-3", "regulator"]


def did(name: str) -> str:
    return "did:peer:4zQm" + hashlib.sha256(name.encode()).hexdigest()[:44]


def claim(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def trace() -> dict[str, Any]:
    """The lineage of a model of eight rounds; round 4's aggregate was corrected; hospital-2's listing was erased."""
    made: list[tuple[str, str, str, list[tuple[str, str]]]] = [("validation", "listing", "sponsor", [])]
    made += [(f"listing {name}", "listing", name, []) for name in HOSPITALS]
    made.append(("plan", "plan", "sponsor", [("validation", "validation"),
                                             *(("listing", f"listing {name}") for name in HOSPITALS)]))
    base: list[tuple[str, str]] = []
    for number in range(1, 9):
        updates = [f"update {number} {name}" for name in HOSPITALS if number < 6 or name != "hospital-3"]
        made += [(name, "update", name.split()[2], [("plan", "plan"), ("listing", f"listing {name.split()[2]}"), *base])
                 for name in updates]
        refs = [("plan", "plan"), *base, *(("update", name) for name in updates)]
        if number == 4:
            made.append(("wrong", "aggregate", "aggregator", refs))
            verdicts = [f"verdict {n}" for n in (1, 2, 3)]
            made += [(name, "verdict", f"verifier-{name[-1]}", [("of", "wrong"), ("plan", "plan")])
                     for name in verdicts]
            refs = [*refs, ("corrects", "wrong"), *(("verdict", name) for name in verdicts)]
        made.append((f"aggregate {number}", "aggregate", "aggregator", refs))
        base = [("base", f"aggregate {number}")]
    made.append(("model", "model", "sponsor", [("plan", "plan"), ("aggregate", "aggregate 8")]))
    stale = {"listing hospital-2"}
    for name, _, _, refs in made:
        if stale & {to for _, to in refs}:
            stale.add(name)
    nodes = [{"claim": claim(name), "kind": kind, "issuer": did(who), "issued_at": 1_700_000_000, "depth": 0,
              "stale": name in stale, "erased": name == "listing hospital-2", "withdrawn": False}
             for name, kind, who, _ in made[::-1]]
    edges = [{"from": claim(name), "to": claim(to), "role": role} for name, _, _, refs in made for role, to in refs]
    return {"target": claim("model"), "stale": True, "nodes": nodes, "edges": edges}


def steps(outcome: str = "upheld") -> dict[str, Any]:
    names = ["container", "statements", "identities", "signatures", "references", "batches", "log", "checkpoint",
             "anchor", "roles", "policy", "re-execution: update, delta"]
    return {"outcome": outcome, "as_of": "block 212 of chain 1337", "steps": [
        {"n": n, "name": name, "outcome": "skipped" if n == 12 else outcome, "detail": f"what step {n} looked at"}
        for n, name in enumerate(names, 1)]}


def summary() -> dict[str, Any]:
    """A whole summary; the caller may change it."""
    rounds = []
    for number in range(1, 9):
        worth = [2_400_000 // number, 1_300_000 // number, -3_100_000 // number, 900_000 // number]
        rounds.append({
            "round": number, "deal": claim(f"deal {number}"), "loss": 45_426 // (number + 1) + 6_000,
            "accuracy_ppm": 960_000 - 250_000 // number**2,
            "caught": None if number != 4 else {
                "challenger": "hospital-1", "why": "its loss rose", "outcome": 2, "slashed": ["aggregator"]},
            "contributions": {name: 0 if number > 5 and name == "hospital-3" else value
                              for name, value in zip(HOSPITALS, worth, strict=True)},
            "payments": {"hospital-1": str(140 * UNIT + 10**17), "hospital-2": str(90 * UNIT), "hospital-3": "0",
                         "hospital-4": str(70 * UNIT - 10**17)},
            "slashed": {4: ["aggregator"], 5: ["hospital-3"]}.get(number, []),
        })
    change = {"hospital-1": 1120, "hospital-2": 720, "hospital-3": -200, "hospital-4": 560, "sponsor": -2560,
              "aggregator": -560, "commons": 920}
    balances = {name: {"before": str(10_000 * UNIT), "after": str((10_000 + change.get(name, 0)) * UNIT)}
                for name in [*PARTIES, "commons"]}
    study = [("hospital 1 alone", 954_093, 7_956), ("hospital 2 alone", 951_169, 6_100),
             ("hospital 3 alone", 921_052, 14_000), ("hospital 4 alone", 940_643, 8_000),
             ("pooled data", 974_269, 4_500),
             ("Troth, one hospital poisoning", 969_883, 4_800), ("Troth, all honest", 971_930, 4_700),
             ("plain averaging, one hospital poisoning", 812_573, 31_000)]
    return {
        "model": claim("model"), "cheat": "aggregator", "seed": 1, "names": {did(name): name for name in PARTIES},
        "bundle": "out/model.troth", "trust": "out/trust.json", "rounds": rounds, "balances": balances,
        "study": rows(study, list(range(1, 21))), "split": rows([(name, at - 3_000, 0) for name, at, _ in study], [1]),
        "gas": [{"act": "Book.join", "count": 72, "least": 71_000, "most": 92_000, "total": 5_400_000},
                {"act": "Book.open", "count": 8, "least": 1_100_000, "most": 1_300_000, "total": 9_600_000},
                {"act": "Anchor.anchor", "count": 1, "least": 71_000, "most": 71_000, "total": 71_000}],
        "trace": trace(), "verify": {"upheld": steps(), "again": steps(), "alone": steps("undecidable")},
        "seconds": 41.3,
    }


def rows(found: list[tuple[str, int, int]], seeds: list[int]) -> dict[str, Any]:
    return {"command": "troth demo --study", "data": "Wisconsin Diagnostic Breast Cancer, 569 records",
            "rule": "nnm+trimmed_mean", "rounds": 8, "seeds": seeds, "poisoner": 2, "poisoner_slashed": len(seeds),
            "honest_slashed": 0, "rows": [
                {"name": name, "mean_ppm": mean, "margin_ppm": margin, "low_ppm": mean - margin,
                 "high_ppm": mean + margin, "scores_ppm": [mean] * len(seeds)} for name, mean, margin in found]}
