"""A browser's developer tools open our HAR: every exchange is a row there, the hostile ones too.

Needs chromium and the package `websockets` (to talk to it); neither is part of the project's own set-up.
"""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request

import pytest

from replay.output import har
from tests.answers import hostile

websockets = pytest.importorskip("websockets", reason="needs the package websockets")
if shutil.which("chromium") is None:
    pytest.skip("needs chromium", allow_module_level=True)

# The frontend is its own page, served by the browser; its network panel is what "Import HAR file" calls.
SCRIPT = """(async () => {
  const network = await import('./panels/network/network.js');
  const legacy = await import('./ui/legacy/legacy.js');
  const logs = await import('./models/logs/logs.js');
  await legacy.ViewManager.ViewManager.instance().showView('network');
  await network.NetworkPanel.NetworkPanel.instance().networkLogView.onLoadFromFile(new File([%s], 'x.har'));
  await new Promise(done => setTimeout(done, 2000));
  const requests = logs.NetworkLog.NetworkLog.instance().requests();
  return JSON.stringify(requests.map(request => [request.requestMethod, request.url(), request.statusCode]));
})()"""


@pytest.fixture
def browser(tmp_path):
    command = ["chromium", "--headless=new", "--disable-gpu", "--remote-debugging-port=0", "--remote-allow-origins=*"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen([*command, f"--user-data-dir={tmp_path}", "about:blank"], stderr=log, stdout=log)
    try:
        for _ in range(300):
            if found := re.search(r"ws://127\.0\.0\.1:(\d+)/", (tmp_path / "log").read_text(errors="replace")):
                yield int(found[1])
                return
            time.sleep(0.1)
        pytest.fail("chromium did not start")
    finally:
        process.terminate()
        process.wait()
        log.close()


def opened(port, address):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?{address}", method="PUT")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


async def imported(port, document):
    page = opened(port, "about:blank")["id"]
    tools = f"http://127.0.0.1:{port}/devtools/devtools_app.html?ws=127.0.0.1:{port}/devtools/page/{page}"
    async with websockets.connect(opened(port, tools)["webSocketDebuggerUrl"], max_size=None) as socket:
        await asyncio.sleep(5)
        parameters = {"expression": SCRIPT % json.dumps(document), "awaitPromise": True, "returnByValue": True}
        await socket.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}))
        while "id" not in (answer := json.loads(await socket.recv())):
            pass
    return json.loads(answer["result"]["result"]["value"])


def test_the_developer_tools_show_every_exchange(browser):
    out = io.BytesIO()
    har.write([*hostile.ordinary(), *hostile.exchanges()], out)
    rows = asyncio.run(imported(browser, out.getvalue().decode()))
    entries = json.loads(out.getvalue())["log"]["entries"]
    ours = [[e["request"]["method"], e["request"]["url"], e["response"]["status"]] for e in entries]
    assert sorted(rows) == sorted(ours)
