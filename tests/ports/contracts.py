"""Small contracts in EVM assembly, for tests and benchmarks of chains: no compiler, every byte in sight."""

from __future__ import annotations

from eth.vm import opcode_values

CODES = {name: value for name, value in vars(opcode_values).items() if name.isupper()} | {"INVALID": 0xFE}


def assemble(text: str) -> bytes:
    """Bytecode of opcodes, integers (pushed in as few bytes as they take), ``name:`` (a jump target) and ``@name``.

    Code with jumps is shorter than 256 bytes.
    """
    code, targets, uses = bytearray(), dict[str, int](), dict[int, str]()
    for word in text.split():
        if word in CODES:
            code.append(CODES[word])
        elif word.endswith(":"):
            targets[word[:-1]] = len(code)
            code.append(CODES["JUMPDEST"])
        elif word.startswith("@"):
            uses[len(code) + 1] = word[1:]
            code += bytes((CODES["PUSH1"], 0))
        else:
            number = int(word, 0)
            data = number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
            code += bytes((CODES["PUSH1"] + len(data) - 1,)) + data
    for at, name in uses.items():
        code[at] = targets[name]
    return bytes(code)


def creation(text: str, constructor: str = "") -> bytes:
    """Creation code that runs ``constructor`` and deploys the assembled runtime (shorter than 256 bytes)."""
    runtime = assemble(text)
    size, first = len(runtime), assemble(constructor)
    offset = len(first) + len(assemble(f"{size} 1 0 CODECOPY {size} 0 RETURN"))
    return first + assemble(f"{size} {offset} 0 CODECOPY {size} 0 RETURN") + runtime


def words(*values: int) -> bytes:
    """32-byte big-endian words."""
    return b"".join(value.to_bytes(32, "big") for value in values)


STORE = creation("32 CALLDATALOAD 0 CALLDATALOAD SSTORE")
"""(slot, value): writes the slot."""

CELL = creation("CALLDATASIZE @write JUMPI 0 SLOAD 0 MSTORE 32 0 RETURN write: 0 CALLDATALOAD 0 SSTORE")
"""Without calldata: returns slot 0. With a word: writes it there."""

REVERT = creation("CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 REVERT")
"""Reverts with its calldata."""

BREAK = creation("INVALID")
"""Runs into an invalid instruction."""

CONTEXT = creation(
    "NUMBER 0 MSTORE TIMESTAMP 32 MSTORE CHAINID 64 MSTORE BASEFEE 96 MSTORE PREVRANDAO 128 MSTORE"
    " COINBASE 160 MSTORE GASLIMIT 192 MSTORE 1 NUMBER SUB BLOCKHASH 224 MSTORE"
    " CALLDATASIZE @keep JUMPI 256 0 RETURN keep: 32 MLOAD 1 SSTORE"
)
"""Returns number, timestamp, chain id, base fee, prevrandao, coinbase, gas limit and the hash of the block before;
with calldata, writes the timestamp to slot 1 instead."""

FORWARD = creation(
    "32 CALLDATASIZE SUB 32 0 CALLDATACOPY 0 0 32 CALLDATASIZE SUB 0 0 0 CALLDATALOAD GAS CALL @fine JUMPI"
    " RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 REVERT fine:"
)
"""(account, rest): calls the account with the rest of the calldata, and reverts as it does."""



SUPPLY = 10**24
TOKEN = creation(
    "CALLER 0 MSTORE 64 0 SHA3 DUP1 SLOAD 36 CALLDATALOAD DUP1 DUP3 LT @poor JUMPI"
    " DUP1 SWAP2 SUB SWAP1 SWAP2 SSTORE"
    " 4 CALLDATALOAD 0 MSTORE 64 0 SHA3 DUP1 SLOAD DUP3 ADD SWAP1 SSTORE"
    " 0 MSTORE 4 CALLDATALOAD CALLER 0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef 32 0 LOG3"
    " 1 0 MSTORE 32 0 RETURN poor: 0 0 REVERT",
    constructor=f"CALLER 0 MSTORE 64 0 SHA3 {SUPPLY} SWAP1 SSTORE",
)
"""An ERC-20's ``transfer(to, amount)``, with its balances by keccak and its event; the deployer holds the supply."""


def emitter(topics: int) -> bytes:
    """Creation code of a contract that takes (topic, …, data) and emits them as one log."""
    size = 32 * topics
    loads = " ".join(f"{32 * at} CALLDATALOAD" for at in reversed(range(topics)))
    return creation(f"{size} CALLDATASIZE SUB {size} 0 CALLDATACOPY {loads} {size} CALLDATASIZE SUB 0 LOG{topics}")
