"""Three browser engines behind one small interface: Chromium, Firefox and WebKit, as Debian packages them.

Rules of this file:

- A browser is a process of the test with an empty profile, driven by the W3C's protocols and nothing else: WebDriver
  for Chromium (chromedriver) and WebKitGTK (WebKitWebDriver with its MiniBrowser under Xvfb), WebDriver BiDi for
  Firefox, which Debian ships without geckodriver. No library speaks both.
- A scene uses only `Tab`: it types with real key events, and reads the page by expressions that it waits for.

Source: W3C WebDriver 2; W3C WebDriver BiDi.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import ClientConnection, connect

from lab.process import wait_for

START_DEADLINE_S = 60.0
COMMAND_DEADLINE_S = 30.0
PATIENCE_S = 30.0
"""How long a scene waits for something that the page should show soon: three browsers share two cores."""
POLL_S = 0.1

ENTER = "\ue007"
CHROMIUM_OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIREFOX_PREFERENCES = """
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.safebrowsing.downloads.remote.enabled", false);
user_pref("services.settings.server", "data:,#");
user_pref("extensions.getAddons.cache.enabled", false);
"""
"""A fresh profile would otherwise ask its makers for updates, lists and captive portals."""


class Tab(ABC):
    """One tab of a browser."""

    @abstractmethod
    def goto(self, url: str) -> None: ...

    @abstractmethod
    def reload(self) -> None: ...

    @abstractmethod
    def run(self, script: str) -> Any:
        """Run the body of a function in the page and return what it returns, as JSON would."""

    @abstractmethod
    def types(self, text: str) -> None:
        """Press the keys of this text, one by one, where the focus is."""

    @abstractmethod
    def close(self) -> None: ...

    def waits_for(self, expression: str, what: str, deadline_s: float = PATIENCE_S) -> None:
        """Wait until this expression is true in the page."""
        end = time.monotonic() + deadline_s
        while not self.run(f"return Boolean({expression})"):
            if time.monotonic() > end:
                shown = self.run("return document.body?.innerText ?? ''")
                raise AssertionError(f"not within {deadline_s} s: {what}; the page shows:\n{shown}")
            time.sleep(POLL_S)

    def says(self, text: str) -> None:
        """Type into the composer and press Enter."""
        self.waits_for("document.querySelector('.tidings-composer textarea')", "the composer")
        self.run("document.querySelector('.tidings-composer textarea').focus()")
        self.types(text + ENTER)

    @property
    def texts(self) -> list[str]:
        """The texts of all messages shown."""
        found: list[str] = self.run(TEXTS)
        return found

    def shows(self, *texts: str, deadline_s: float = PATIENCE_S) -> None:
        """These messages, each once, in this order, and no others."""
        end = time.monotonic() + deadline_s
        while (shown := self.texts) != list(texts) and time.monotonic() < end:
            time.sleep(POLL_S)
        assert list(texts) == shown, f"not {texts} within {deadline_s} s, but {shown}"


TEXTS = "return [...document.querySelectorAll('.tidings-message .tidings-words')].map((each) => each.textContent)"


class Browser(ABC):
    """A running browser with one profile."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @abstractmethod
    def new_tab(self) -> Tab: ...

    def close(self) -> None:
        """End the browser and everything that it started."""
        end_group(self.process)


# --- WebDriver: Chromium, WebKitGTK ---


class WebDriverBrowser(Browser):
    """A session of a WebDriver server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, capabilities: dict[str, Any]) -> None:
        super().__init__(process)
        self.http = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=httpx2.Timeout(START_DEADLINE_S)
        )
        wait_for(self._is_ready, START_DEADLINE_S, "the WebDriver server")
        session = self.command("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = f"/session/{session['sessionId']}"
        self.home = self.command("GET", f"{self.session}/window")

    def _is_ready(self) -> bool:
        try:
            return bool(self.command("GET", "/status")["ready"])
        except httpx2.TransportError:
            return False

    def command(self, method: str, path: str, body: object = None) -> Any:
        answer = self.http.request(method, path, json=body if method == "POST" else None)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def new_tab(self) -> Tab:
        # The first tab is never used: a session stands in a tab that is open, and a browser ends with its last one.
        self.command("POST", f"{self.session}/window", {"handle": self.home})
        return WebDriverTab(self, self.command("POST", f"{self.session}/window/new", {"type": "tab"})["handle"])

    def close(self) -> None:
        with contextlib.suppress(httpx2.TransportError, AssertionError):
            self.command("DELETE", self.session)
        self.http.close()
        super().close()


class WebDriverTab(Tab):
    def __init__(self, browser: WebDriverBrowser, handle: str) -> None:
        self.browser = browser
        self.handle = handle

    def _command(self, path: str, body: object, method: str = "POST") -> Any:
        here = self.browser.session
        self.browser.command("POST", f"{here}/window", {"handle": self.handle})
        return self.browser.command(method, f"{here}/{path}", body)

    def goto(self, url: str) -> None:
        self._command("url", {"url": url})

    def reload(self) -> None:
        self._command("refresh", {})

    def run(self, script: str) -> Any:
        return self._command("execute/sync", {"script": script, "args": []})

    def types(self, text: str) -> None:
        self._command("actions", {"actions": [key_presses(text)]})

    def close(self) -> None:
        self._command("window", None, "DELETE")


# --- WebDriver BiDi: Firefox ---


class BiDiBrowser(Browser):
    """A session of WebDriver BiDi, straight with the browser."""

    def __init__(self, process: subprocess.Popen[bytes], socket: ClientConnection) -> None:
        super().__init__(process)
        self.socket = socket
        self._ids = itertools.count(1)
        self.command("session.new", {"capabilities": {}})

    def command(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv(COMMAND_DEADLINE_S))).get("id") != number:
            pass  # an event
        assert answer["type"] == "success", answer
        result: dict[str, Any] = answer["result"]
        return result

    def new_tab(self) -> Tab:
        return BiDiTab(self, self.command("browsingContext.create", {"type": "tab"})["context"])


class BiDiTab(Tab):
    def __init__(self, browser: BiDiBrowser, context: str) -> None:
        self.browser = browser
        self.context = context

    def _command(self, method: str, **parameters: object) -> dict[str, Any]:
        return self.browser.command(method, {"context": self.context, **parameters})

    def goto(self, url: str) -> None:
        self._command("browsingContext.navigate", url=url, wait="complete")

    def reload(self) -> None:
        self._command("browsingContext.reload", wait="complete")

    def run(self, script: str) -> Any:
        answer = self.browser.command(
            "script.callFunction",
            {
                # What a script returns comes as JSON: BiDi's own form of values differs from WebDriver's.
                "functionDeclaration": f"() => JSON.stringify((() => {{ {script} }})() ?? null)",
                "awaitPromise": False,
                "target": {"context": self.context},
            },
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def types(self, text: str) -> None:
        self._command("input.performActions", actions=[key_presses(text)])

    def close(self) -> None:
        self._command("browsingContext.close")


def key_presses(text: str) -> dict[str, Any]:
    """The keys of a text, as both protocols want them."""
    keys = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
    return {"type": "key", "id": "keyboard", "actions": keys}


# --- Starting ---


@contextlib.contextmanager
def started(engine: str, directory: Path) -> Iterator[Browser]:
    """A browser of this engine with an empty profile below `directory`, which is ended at the end."""
    with contextlib.ExitStack() as stack:
        browser = STARTERS[engine](directory, stack)
        stack.callback(browser.close)
        yield browser


def chromium(directory: Path, stack: contextlib.ExitStack) -> Browser:
    driver = spawn(["chromedriver", "--port=0"], directory, stack)
    port = int(printed(directory, "chromedriver", r"successfully on port (\d+)")[1])
    arguments = [*CHROMIUM_OPTIONS, f"--user-data-dir={directory}/profile"]
    return WebDriverBrowser(driver, port, {"goog:chromeOptions": {"args": arguments}})


def firefox(directory: Path, stack: contextlib.ExitStack) -> Browser:
    profile = directory / "profile"
    profile.mkdir(parents=True)
    (profile / "user.js").write_text(FIREFOX_PREFERENCES)
    process = spawn(
        ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port=0"],
        directory, stack, MOZ_CRASHREPORTER_DISABLE="1",
    )  # fmt: skip
    url = printed(directory, "firefox-esr", r"WebDriver BiDi listening on (ws://\S+)")[1]
    socket = connect(f"{url}/session", max_size=None, proxy=None, open_timeout=START_DEADLINE_S)
    return BiDiBrowser(process, stack.enter_context(socket))


def webkit(directory: Path, stack: contextlib.ExitStack) -> Browser:
    read_end, write_end = os.pipe()
    display = spawn(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        directory, stack, pass_fds=(write_end,),
    )  # fmt: skip
    os.close(write_end)
    with os.fdopen(read_end) as said:
        number = said.readline().strip()  # Xvfb writes it when it accepts connections, or ends and closes the pipe
    assert number, f"Xvfb ended with {display.wait(COMMAND_DEADLINE_S)}"
    driver = spawn(
        ["WebKitWebDriver", "--port=0"], directory, stack, DISPLAY=f":{number}", XDG_DATA_HOME=str(directory / "data"),
        XDG_CACHE_HOME=str(directory / "cache"), GIO_USE_VFS="local", GSETTINGS_BACKEND="memory", NO_AT_BRIDGE="1",
        LIBGL_ALWAYS_SOFTWARE="1", WEBKIT_DISABLE_COMPOSITING_MODE="1",
    )  # fmt: skip
    options = {"binary": mini_browser(), "args": ["--automation"]}
    return WebDriverBrowser(driver, listening_port(driver), {"webkitgtk:browserOptions": options})


STARTERS = {"chromium": chromium, "firefox": firefox, "webkit": webkit}


def mini_browser() -> str:
    """WebKitGTK's own small browser, which lies outside of PATH."""
    found = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
    assert found, "there is no MiniBrowser: apt-get install webkit2gtk-driver"
    return str(found[-1])


def listening_port(process: subprocess.Popen[bytes]) -> int:
    """The TCP port that a process listens on: WebKitWebDriver does not tell which one it took."""

    def find() -> int | None:
        sockets = {os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir() if each.is_symlink()}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                return int(fields[1].rsplit(":", 1)[1], 16)
        return None

    return wait_for(find, START_DEADLINE_S, "the WebDriver server listens")


def spawn(
    command: list[str], directory: Path, stack: contextlib.ExitStack, *, pass_fds: tuple[int, ...] = (), **more: str
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own; what it prints goes to a file of its name."""
    assert shutil.which(command[0]), f"there is no {command[0]}: make wide-programs"
    directory.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"HOME": str(directory)} | more
    with (directory / f"{command[0]}.txt").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=directory,
            start_new_session=True, pass_fds=pass_fds,
        )  # fmt: skip
    stack.callback(end_group, process)
    return process


def printed(directory: Path, program: str, pattern: str) -> re.Match[str]:
    """Wait until a program has printed this."""
    output = directory / f"{program}.txt"
    return wait_for(
        lambda: re.search(pattern, output.read_text(errors="replace")), START_DEADLINE_S, f"{program} prints {pattern}"
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program with everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(COMMAND_DEADLINE_S)
