"""A workspace as a device: it counts in its log, and a copy of it is noticed by whoever reads both."""

from __future__ import annotations

import shutil

import pytest
from places import Place, meet

from troth.app.devices import check, read
from troth.core.errors import BadInput, Refuted, Undecidable
from troth.identity.devices import READING, device_subject, reading_body


def test_a_device_counts_and_a_copy_is_noticed(place: Place) -> None:
    device, hub = place.make("device"), place.make("hub")
    meet(device, hub)
    claims = [read(device, {"mC": 21_000 + n})[0] for n in range(3)]
    with pytest.raises(Undecidable, match="no readings"):
        check(hub, device.did)
    device.send([hub.did], claims)
    hub.receive()
    found = check(hub, device.did)
    assert (found.count, found.first, found.last, found.gaps) == (3, 0, 2, ())
    # Somebody copies the device, keys and all. Both go on counting.
    device.close()
    shutil.copytree(place.root / "device", place.root / "copy")
    device, copy = place.again("device"), place.again("copy")
    place.clock.advance(5)
    for one in (device, copy):
        claim, counter = read(one, {"mC": 5_000 if one is copy else 21_003})
        assert counter == 3
        one.send([hub.did], [claim])
    hub.receive()
    with pytest.raises(Refuted, match="a clone"):
        check(hub, device.did)


def test_what_a_device_refuses_to_sign(place: Place) -> None:
    device = place.make("device")
    assert read(device, {"mC": 1})[1] == 0
    size = device.log.size
    for at in (place.clock.now() - 3, place.clock.now() + 3):
        with pytest.raises(Refuted):
            read(device, {"mC": 1}, at)
    with pytest.raises(BadInput):
        read(device, {})
    with pytest.raises(BadInput):  # nor does it enter a log by another way
        device.attest(READING, [device_subject(device.did)], reading_body(-1, 1, {"mC": 1}))
    assert device.log.size == size
    assert read(device, {"mC": 2}, place.clock.now() - 2)[1] == 1
