"""Commands for agents in an ERC-8004 identity registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from troth.cli.parts import Json, Where, app, show, workspace
from troth.core.errors import Misuse

if TYPE_CHECKING:
    from troth.ledger.agents import Agent

agent_app = typer.Typer(no_args_is_help=True, help="An agent within limits: run, watch, stop; and its entry "
                        "in an ERC-8004 registry.")
app.add_typer(agent_app, name="agent")
Registry = Annotated[str, typer.Option("--registry", help="The registry's address on this workspace's chain.")]


@agent_app.command("register")
def agent_register(registry: Registry, description: Annotated[str, typer.Option(help="What the agent does.")] = "",
                   service: Annotated[list[str] | None, typer.Option("--service", help="NAME=ENDPOINT.")] = None,
                   home: Where = None, as_json: Json = False) -> None:
    """Make this party an agent that names its identity, with its registration file in the registry itself."""
    from troth.app.agents import register  # start-up time

    services = dict(map(_service, service or ()))
    with workspace(home) as party:
        show(_agent(register(party, _address(registry), description, services)), as_json)


@agent_app.command("check")
def agent_check(agent: Annotated[int, typer.Argument(min=0, help="The agent's number.")],
                did: Annotated[str, typer.Argument(help="The identity it is said to be.")], registry: Registry,
                home: Where = None, as_json: Json = False) -> None:
    """Whether an agent and an identity name each other, as of now. A file that lies elsewhere is not fetched."""
    from troth.app.agents import check  # start-up time

    with workspace(home) as party:
        found, looked = check(party, _address(registry), agent, did)
        show(_agent(found) | {"outcome": "upheld", "file": "checked" if looked else "not looked at"}, as_json)


def _agent(found: Agent) -> dict[str, Any]:
    return {"agent": found.id, "owner": "0x" + found.owner.hex(), "wallet": "0x" + found.wallet.hex(),
            "did": found.did, "uri": found.uri}


def _address(text: str) -> bytes:
    from troth.core.encoding import from_hex  # start-up time

    return from_hex(text.removeprefix("0x").lower(), 20)


def _service(text: str) -> tuple[str, str]:
    name, equals, endpoint = text.partition("=")
    if not equals:
        raise Misuse("a service needs an endpoint", expected="NAME=ENDPOINT", actual=text)
    return name, endpoint
