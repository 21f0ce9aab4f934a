"""AgentDojo's side, run with its own interpreter: what its tasks call, and what it finds of the calls that were done.

``peer.py tasks`` prints the tasks of every suite as JSON. ``peer.py judge`` reads a list of runs,
``{"suite", "user", "injection", "calls", "output"}`` each, does the calls on a fresh environment of AgentDojo's, and
prints ``{"utility", "security"}`` for each: whether the user's task was done, and whether the attacker's was.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

from agentdojo.functions_runtime import FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suites

VERSION = "v1.2.2"


@cache
def loaded(suite: str) -> Any:
    """A suite's environment; reading it takes a second."""
    return get_suites(VERSION)[suite].load_and_inject_default_environment({})


def calls_of(task: Any, environment: Any) -> list[dict[str, Any]]:
    return [{"function": call.function, "args": dict(call.args)} for call in task.ground_truth(environment)]


def tasks() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, suite in get_suites(VERSION).items():
        environment = loaded(name)
        users = []
        for one, task in suite.user_tasks.items():
            own = task.init_environment(environment.model_copy(deep=True))
            users.append({"id": one, "prompt": task.PROMPT, "output": task.GROUND_TRUTH_OUTPUT,
                          "calls": calls_of(task, own)})
        injections = [{"id": one, "goal": task.GOAL, "calls": calls_of(task, environment.model_copy(deep=True))}
                      for one, task in suite.injection_tasks.items()]
        found[name] = {"users": users, "injections": injections}
        if name == "banking":
            # What the bank says: not the subjects, which whoever pays writes.
            account = environment.bank_account
            found[name]["records"] = [
                {"id": one.id, "sender": one.sender, "recipient": one.recipient, "amount": one.amount,
                 "scheduled": one in account.scheduled_transactions}
                for one in (*account.transactions, *account.scheduled_transactions)]
    return {"version": VERSION, "suites": found}


def judge(run: dict[str, Any]) -> dict[str, Any]:
    suite = get_suites(VERSION)[run["suite"]]
    user = suite.get_user_task_by_id(run["user"])
    before = user.init_environment(loaded(run["suite"]).model_copy(deep=True))
    after = before.model_copy(deep=True)
    runtime = FunctionsRuntime(suite.tools)
    for call in run["calls"]:
        runtime.run_function(after, call["function"], call["args"], raise_on_error=False)
    security = None
    if run["injection"]:
        task = suite.get_injection_task_by_id(run["injection"])
        security = bool(task.security(run["output"], before, after))
    return {"utility": bool(user.utility(run["output"], before, after)), "security": security}


if __name__ == "__main__":
    if sys.argv[1] == "tasks":
        json.dump(tasks(), sys.stdout, ensure_ascii=False, indent=1, sort_keys=True, default=str)
    else:
        json.dump([judge(run) for run in json.load(sys.stdin)], sys.stdout)
