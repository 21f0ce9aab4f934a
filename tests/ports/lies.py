"""What a node may say that is not so: each makes a way to spoil its answers, once it starts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Tell = Callable[[str, Sequence[Any], Any], Any]
GARBAGE: tuple[Any, ...] = ("0x", 7, [], [7], {}, "", True, [{}], [[]], {"hash": None}, "0x" + "ff" * 40)


def _receipts(change: Callable[[Random, list[Any]], bool]) -> Callable[[Random], Tell]:
    """Spoils the receipts of every block that it can."""
    def lie(random: Random) -> Tell:
        def tell(method: str, params: Sequence[Any], result: Any) -> Any:
            if method == "eth_getBlockReceipts" and result:
                said = copy.deepcopy(result)
                if change(random, said):
                    return said
            return result
        return tell
    return lie


def _one(random: Random, receipts: list[Any]) -> list[Any]:
    """The events of one receipt that has some."""
    return random.choice([one["logs"] for one in receipts if one["logs"]] or [[]])


def _dropped(random: Random, receipts: list[Any]) -> bool:
    for receipt in receipts:
        receipt["logs"] = []
    return True


def _one_dropped(random: Random, receipts: list[Any]) -> bool:
    logs = _one(random, receipts)
    if not logs:
        return False
    logs.pop(random.randrange(len(logs)))
    place = 0
    for receipt in receipts:
        for log in receipt["logs"]:
            log["logIndex"] = hex(place)
            place += 1
    return True


def _of_another_block(random: Random, receipts: list[Any]) -> bool:
    logs = _one(random, receipts)
    for log in logs:
        log["blockHash"] = "0x" + "ab" * 32
    return bool(logs)


def _changed(field: str, value: Any) -> Callable[[Random, list[Any]], bool]:
    def change(random: Random, receipts: list[Any]) -> bool:
        logs = _one(random, receipts)
        if not logs or logs[0][field] == value:
            return False
        logs[0][field] = value
        return True
    return change


def _data(random: Random, receipts: list[Any]) -> bool:
    logs = [log for log in _one(random, receipts) if len(log["data"]) > 2]
    if not logs:
        return False
    data = bytearray.fromhex(logs[0]["data"][2:])
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    logs[0]["data"] = "0x" + data.hex()
    return True


def _gas(random: Random, receipts: list[Any]) -> bool:
    receipts[-1]["cumulativeGasUsed"] = "0x1"
    return True


def _header(field: str) -> Callable[[Random], Tell]:
    """A block whose header is not what its hash says."""
    def lie(random: Random) -> Tell:
        def tell(method: str, params: Sequence[Any], result: Any) -> Any:
            if method != "eth_getBlockByNumber" or result is None:
                return result
            value = result[field]
            digits = len(value) - 2
            return {**result, field: f"0x{int(value, 16) ^ 1:0{digits}x}"}
        return tell
    return lie


def _garbage(wanted: str) -> Callable[[Random], Tell]:
    def lie(random: Random) -> Tell:
        said = random.choice([one for one in GARBAGE if (one, wanted) != ([], "eth_getLogs")])  # that is an answer
        return lambda method, params, result: said if method == wanted else result
    return lie


def _range(change: Callable[[Random, list[Any]], Any]) -> Callable[[Random], Tell]:
    def lie(random: Random) -> Tell:
        def tell(method: str, params: Sequence[Any], result: Any) -> Any:
            return change(random, copy.deepcopy(result)) if method == "eth_getLogs" and result else result
        return tell
    return lie


def _log(**changes: Any) -> Callable[[Random, list[Any]], Any]:
    def change(random: Random, logs: list[Any]) -> Any:
        logs[random.randrange(len(logs))].update(changes)
        return logs
    return change


def _spoiled_data(random: Random, logs: list[Any]) -> Any:
    log = random.choice(logs)
    log["data"] += "00" * 32
    return logs


def _invented_terms(random: Random, logs: list[Any]) -> Any:
    for log in logs:
        if len(log["topics"]) == 3 and len(log["data"]) > 500:  # a deal's opening
            log["topics"][1] = "0x" + "cd" * 32
    return logs


LIES: Mapping[str, Callable[[Random], Tell]] = {
    "receipts without events": _receipts(_dropped),
    "an event left out": _receipts(_one_dropped),
    "an event of another block": _receipts(_of_another_block),
    "an event with another number": _receipts(_changed("logIndex", "0x63")),
    "an event with another block's number": _receipts(_changed("blockNumber", "0x1ffff")),
    "an event of another contract": _receipts(_changed("address", "0x" + "11" * 20)),
    "an event with other data": _receipts(_data),
    "receipts with other gas": _receipts(_gas),
    "a header with another state": _header("stateRoot"),
    "a header with another bloom": _header("logsBloom"),
    "a header with another parent": _header("parentHash"),
    "a header with another hash": _header("hash"),
    "no block": _garbage("eth_getBlockByNumber"),
    "no receipts": _garbage("eth_getBlockReceipts"),
    "no events": _garbage("eth_getLogs"),
    "a range with an event from elsewhere": _range(_log(blockNumber="0x1ffff")),
    "a range with another contract's event": _range(_log(address="0x" + "11" * 20)),
    "a range out of order": _range(lambda random, logs: [*logs, logs[0]]),
    "a range with slack bytes": _range(_spoiled_data),
    "a range with a removed event": _range(_log(removed=True)),
    "a range without topics": _range(_log(topics=[])),
    "a range with invented terms": _range(_invented_terms),
    "a range with an unknown event": _range(_log(topics=["0x" + "77" * 32])),
}
