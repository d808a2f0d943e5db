"""A browser's developer tools open our HAR: every exchange is a row there, the hostile ones too.

Needs chromium, which the set-up installs where it may, and talks to it over a WebSocket. Nothing leaves the machine.
"""

import asyncio
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest
import websockets

from replay.output import har
from tests.answers import hostile

if shutil.which("chromium") is None:
    pytest.skip("chromium is not installed (Debian: apt-get install chromium)", allow_module_level=True)

SECONDS = 60  # a browser's first start on a busy machine; it needs about two
COMMAND = [
    *("chromium", "--headless=new", "--remote-debugging-port=0", "--remote-allow-origins=*", "--no-first-run"),
    *("--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps"),
]
# The frontend is its own page, served by the browser; its network panel is what "Import HAR file" calls.
SCRIPT = """(async () => {
  const network = await import('./panels/network/network.js');
  const legacy = await import('./ui/legacy/legacy.js');
  const logs = await import('./models/logs/logs.js');
  await legacy.ViewManager.ViewManager.instance().showView('network');
  await network.NetworkPanel.NetworkPanel.instance().networkLogView.onLoadFromFile(new File([%s], 'x.har'));
  const requests = () => logs.NetworkLog.NetworkLog.instance().requests();
  for (let i = 0; i < 300 && requests().length < %d; i++) await new Promise(done => setTimeout(done, 100));
  return JSON.stringify(requests().map(request => [request.requestMethod, request.url(), request.statusCode]));
})()"""


@pytest.fixture
def browser(tmp_path):
    command = [*COMMAND, "--no-sandbox"] if os.geteuid() == 0 else COMMAND
    log = tmp_path / "log"
    with log.open("wb") as output:
        words = [*command, f"--user-data-dir={tmp_path / 'profile'}", "about:blank"]
        process = subprocess.Popen(words, stdout=output, stderr=output, start_new_session=True)
    try:
        end = time.monotonic() + SECONDS
        while not (found := re.search(r"ws://127\.0\.0\.1:(\d+)/", log.read_text(errors="replace"))):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"chromium did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield int(found[1])
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its helpers too
            process.wait()


def opened(port, address):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?{address}", method="PUT")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


async def imported(port, document):
    page = opened(port, "about:blank")["id"]
    tools = f"http://127.0.0.1:{port}/devtools/devtools_app.html?ws=127.0.0.1:{port}/devtools/page/{page}"
    async with websockets.connect(opened(port, tools)["webSocketDebuggerUrl"], max_size=None) as socket:
        script = SCRIPT % (json.dumps(document), len(json.loads(document)["log"]["entries"]))
        end = time.monotonic() + SECONDS
        while "exceptionDetails" in (said := await evaluated(socket, script)):  # the frontend is still being loaded
            assert time.monotonic() < end, said
            await asyncio.sleep(0.5)
    return json.loads(said["result"]["value"])


async def evaluated(socket, script):
    """What an expression gives in the page; with "exceptionDetails" where it raised."""
    parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
    await socket.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}))
    while "id" not in (answer := json.loads(await socket.recv())):
        pass
    return answer["result"]


def test_the_developer_tools_show_every_exchange(browser):
    out = io.BytesIO()
    har.write([*hostile.ordinary(), *hostile.exchanges()], out)
    rows = asyncio.run(imported(browser, out.getvalue().decode()))
    entries = json.loads(out.getvalue())["log"]["entries"]
    ours = [[e["request"]["method"], e["request"]["url"], e["response"]["status"]] for e in entries]
    assert sorted(rows) == sorted(ours)
