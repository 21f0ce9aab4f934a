"""Debian's Chromium, headless, driven over the DevTools protocol: just enough to open a page and see what it does."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
         "--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=1280,900", "about:blank"]
WAIT = 60.0


class Page:
    """One page. ``events``: everything the browser reported about it, oldest first."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._count = socket, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            found = json.loads(self._socket.recv(timeout=WAIT))
            if found.get("id") == self._count:
                assert "error" not in found, (method, found["error"])
                return dict(found["result"])
            self.events.append(found)

    def open(self, path: Path) -> None:
        """Open a file by its file:// address and wait until it is loaded."""
        self.send("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def value(self, script: str) -> Any:
        """What a script gives, in the page; promises are awaited."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait for a script to give something true; what it gave."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if found := self.value(script):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}; the page says {self.value('document.body.innerText')[-800:]}")

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a file input, as a reader would."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def look(self, width: int, *, dark: bool = False) -> None:
        """Take another screen's width and colour scheme."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1,
                  mobile=width < 600)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)

    def problems(self) -> list[str]:
        """Errors and warnings on the console, refused content and uncaught exceptions so far."""
        self.value("0")  # takes in what was reported until now
        return [json.dumps(event["params"])[:500] for event in self.events
                if event["method"] == "Runtime.exceptionThrown"
                or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning"))
                or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"))]

    def requests(self) -> list[str]:
        """Every address asked for so far."""
        return [event["params"]["request"]["url"] for event in self.events
                if event["method"] == "Network.requestWillBeSent"]


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A fresh browser with one page. ``profile``: an empty folder for it."""
    program = shutil.which("chromium")
    assert program, "no chromium: run `make chromium`"
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen([program, f"--user-data-dir={profile}", *FLAGS], stdout=log, stderr=log)
        try:
            with connect(_address(profile), max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(timeout=WAIT)


def _address(profile: Path) -> str:
    """Where the first page's debugger listens."""
    # Imported here: nothing else of the tests asks anything by HTTP.
    from urllib.request import urlopen

    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        port = profile / "DevToolsActivePort"
        if port.exists() and port.read_text().strip():
            with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list", timeout=WAIT) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise AssertionError(f"chromium did not start: {(profile / 'log').read_text()[-800:]}")
