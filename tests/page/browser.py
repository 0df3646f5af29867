"""Drives a headless Chromium by the DevTools protocol, over a pipe: standard library only.

`--remote-debugging-pipe` reads commands from descriptor 3 and writes answers and events to 4, as JSON that ends with a zero
byte. Nothing listens on a port, and the browser ends when the pipe does.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

# How long anything may take: far more than it does, as other work may share the machine.
PATIENCE_S = 60


def find():
    """Returns where Chromium is, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    return None


class Browser:
    """A browser of its own, with an empty profile. Use it with `with`."""

    def __enter__(self):
        self._profile = tempfile.mkdtemp(prefix="pacer-page-")
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        flags = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self._profile}", "--no-first-run", "--disable-gpu",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
                 "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars", "--js-flags=--expose-gc"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")    # Chromium refuses to start as root otherwise

        # Descriptors 3 and 4 are what the browser is told to use. The shell moves them there: nothing else of ours is open.
        command = ["sh", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "sh", find(), *flags, "about:blank"]
        self._process = subprocess.Popen(command, pass_fds=(commands, answers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(commands)
        os.close(answers)
        self._buffer, self._next, self.pages = b"", 0, {}
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self._process.wait(PATIENCE_S)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for descriptor in (self._read, self._write):
            os.close(descriptor)
        shutil.rmtree(self._profile, ignore_errors=True)

    @property
    def pid(self):
        return self._process.pid

    def page(self, width=1280, height=900, dark=False, phone=False):
        """Opens a page of that size in CSS pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log", "Performance"):
            page.call(f"{domain}.enable")
        page.size(width, height, phone)
        page.scheme("dark" if dark else "light")
        return page

    def call(self, method, session=None, **params):
        """Calls a method and returns its result."""
        self._next += 1
        number = self._next
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._message(deadline)
            if answer is None:
                raise TimeoutError(f"{method}: no answer")
            if answer.get("id") != number:
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return answer["result"]

    def listen(self, until):
        """Takes in events until a moment of the monotonic clock, or the next one."""
        self._message(until)

    def _message(self, deadline):
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                return None
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise OSError("the browser has ended")
            self._buffer += piece
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        if page := self.pages.get(message.get("sessionId")):
            page.heard(message)
        return message


class Page:
    """One page, and what it said and asked for."""

    def __init__(self, browser, session, target):
        self._browser, self._session, self._target = browser, session, target
        self.errors, self.requests = [], []

    def heard(self, message):
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.errors.append(" ".join(str(part.get("value", part.get("description"))) for part in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    def call(self, method, **params):
        return self._browser.call(method, self._session, **params)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, code):
        """Returns the value of an expression; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"].get("exception", {}).get("description", code))
        return result["result"].get("value")

    def until(self, code):
        """Waits until an expression is true, and returns its value."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if value := self.run(code):
                return value
            self._browser.listen(min(deadline, time.monotonic() + 0.05))
        raise AssertionError(f"never came true: {code}\nheadline: {self.text('#headline')}\nerrors: {self.errors}")

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")

    def press(self, key):
        """Presses a key, as a person would."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes.get(key, 0), **extra)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, path, top=0, height=None):
        """Saves the page as PNG: from `top` on, `height` CSS pixels of it or all."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": min(height or size["height"], size["height"] - top), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        if self._browser.pages.pop(self._session, None):
            self._browser.call("Target.closeTarget", targetId=self._target)
