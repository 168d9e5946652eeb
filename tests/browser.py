"""A headless Chromium for tests, driven over the DevTools protocol through two pipes: nothing but the standard library is needed.

    with Browser(tmp_path / "profile") as browser:
        browser.open("http://127.0.0.1:6006/#graphs")
        browser.evaluate("document.title")                  # a promise is waited for
        browser.screenshot(tmp_path / "page.png")
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
]  # fmt: skip
PATIENCE = 180  # seconds after which a browser that hangs is ended, and with it the test


class Browser:
    """One page. AssertionError where a script of the page fails, or where the browser ends."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1400, 900)) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()

        def wire() -> None:  # the browser reads commands from 3 and writes to 4; the copies first, for either may be 3 or 4 already
            copies = os.dup(commands), os.dup(answers)
            os.dup2(copies[0], 3)
            os.dup2(copies[1], 4)

        command = [str(CHROMIUM), *FLAGS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, preexec_fn=wire, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        self._guard = threading.Timer(PATIENCE, self._process.kill)
        self._guard.start()
        self._rest, self._number, self._session = b"", 0, ""
        target = next(t for t in self._ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]

    def _ask(self, method: str, **params: Any) -> Any:
        """A command's result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params, **({"sessionId": self._session} if self._session else {})}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._answers, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]

    def open(self, address: str) -> None:
        answer = self._ask("Page.navigate", url=address)
        assert "errorText" not in answer, answer

    def evaluate(self, script: str) -> Any:
        """The value of an expression, once it is there where it is a promise."""
        answer = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The value of an expression as soon as it is true: the page looks at it again and again."""
        look = f"const look = () => {{ const found = {script}; found ? done(found) : setTimeout(look, 50); }}"
        return self.evaluate(f"new Promise(done => {{ {look}; look(); }})")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
