"""A reader of a page, in a headless Chromium: opens it, presses keys, clicks, drags, and looks at what is drawn.

    with Reader(tmp_path / "profile") as reader:
        reader.read(tmp_path, text, "#stage=2")
        reader.double_click(reader.item("Model/"))
        reader.state()["open"]                       # what the address says
"""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.browser import PATIENCE, Browser

TEXTS = {"Enter": "\r", " ": " "}
DETAIL = "document.getElementById('panel')"


class Reader(Browser):
    """One page at a time; `read` opens the next. Without motion, unless a test asks for it."""

    def read(self, folder: Path, text: str, address: str = "", width: int = 1400, height: int = 900, motion: bool = False) -> None:
        self._guard.cancel()
        self._guard = threading.Timer(PATIENCE, self._process.kill)
        self._guard.start()
        file = folder / f"page{len(list(folder.glob('page*.html')))}.html"
        file.write_text(text)
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.media(motion=motion)
        self.open(f"{file.as_uri()}{address}")
        self.wait_for("document.querySelector('html[data-ready]') && 1")

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def media(self, name: str = "", motion: bool = False, dark: bool = False) -> None:
        """What the reader's system says: screen or print, whether things may move, light or dark."""
        features = {"prefers-reduced-motion": "no-preference" if motion else "reduce", "prefers-color-scheme": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", media=name, features=[{"name": k, "value": v} for k, v in features.items()])

    # the hands

    def press(self, *keys: str, shift: bool = False) -> None:
        for key in keys:
            text = TEXTS.get(key, key if len(key) == 1 else "")
            event = {"key": key, "modifiers": 8 if shift else 0, **({"text": text} if text else {})}
            self._ask("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event)
            self._ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        self._ask("Input.insertText", text=text)

    def _mouse(self, kind: str, at: tuple[float, float], **more: Any) -> None:
        self._ask("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **more)

    def move(self, at: tuple[float, float]) -> None:
        self._mouse("mouseMoved", at)

    def click(self, at: tuple[float, float], count: int = 1) -> None:
        self.move(at)
        for n in range(1, count + 1):
            self._mouse("mousePressed", at, button="left", buttons=1, clickCount=n)
            self._mouse("mouseReleased", at, button="left", clickCount=n)

    def double_click(self, at: tuple[float, float]) -> None:
        self.click(at, count=2)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self._mouse("mousePressed", start, button="left", buttons=1, clickCount=1)
        for part in (0.3, 0.7, 1.0):
            at = (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))
            self._mouse("mouseMoved", at, button="left", buttons=1)
        self._mouse("mouseReleased", end, button="left", clickCount=1)

    def wheel(self, at: tuple[float, float], by: float) -> None:
        self._mouse("mouseWheel", at, deltaX=0, deltaY=by)

    # the eyes

    def place(self, selector: str) -> tuple[float, float]:
        """The middle of the one element that a selector finds."""
        middle = "e => (r => [r.x + r.width / 2, r.y + r.height / 2])(e.getBoundingClientRect())"
        found = self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map({middle})")
        assert len(found) == 1, f"{selector} finds {len(found)} elements"
        return found[0][0], found[0][1]

    def item(self, name: str) -> tuple[float, float]:
        """A place on a box or on the upper edge of an open scope."""
        selector = json.dumps(f'[data-id="{name}"] > .shape:not(.back)')
        look = "(e, r) => [r.x, r.y, r.width, r.height, e.parentNode.classList.contains('open')]"
        x, y, width, height, is_open = self.evaluate(f"(e => ({look})(e, e.getBoundingClientRect()))(document.querySelector({selector}))")
        return (x + width - 6, y + 6) if is_open else (x + width / 2, y + height / 2)

    def mark(self, source: str, target: str) -> tuple[float, float]:
        """The mark on the line between two items."""
        return self.place(f'.apart[data-line="line {source} → {target}"]')

    def items(self, look: str = "") -> set[str]:
        """The names of what is drawn, or of that with a look: a class."""
        return set(self.evaluate(f"[...document.querySelectorAll('#camera .item{'.' + look if look else ''}')].map(e => e.dataset.id)"))

    def lines(self, look: str = "") -> set[tuple[str, str]]:
        found = self.evaluate(f"[...document.querySelectorAll('#lines .line{'.' + look if look else ''}')].map(e => [e.dataset.from, e.dataset.to])")
        return {(a, b) for a, b in found}

    def panel(self) -> str:
        return str(self.evaluate(f"{DETAIL}.innerText"))

    def state(self) -> dict[str, str]:
        """What the address says."""
        return {k: v[0] for k, v in parse_qs(str(self.evaluate("location.hash.slice(1)"))).items()}

    def camera(self) -> tuple[float, float, float]:
        """x, y and scale of the view."""
        found = self.evaluate("document.getElementById('camera').getAttribute('transform').match(/-?[\\d.]+/g).map(Number)")
        return found[0], found[1], found[2]

    def fills(self) -> dict[str, str]:
        """The colours of what is drawn closed."""
        fill = "getComputedStyle(e.querySelector('.shape:not(.back)')).fill"
        return dict(self.evaluate(f"[...document.querySelectorAll('#boxes .item')].map(e => [e.dataset.id, {fill}])"))

    def picture(self) -> bytes:
        return base64.b64decode(self._ask("Page.captureScreenshot")["data"])

    def printed(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode(self._ask("Page.printToPDF", printBackground=True)["data"])
