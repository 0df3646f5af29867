"""The built-in page in a real Chromium, shown what a made-up gateway says."""

import copy
import json
import time
import unittest

import sys

sys.dont_write_bytecode = True    # before the imports: a test leaves nothing behind in the tree

import made_up  # noqa: E402
from browser import Browser  # noqa: E402

HOSTILE = [
    '<script>document.title="owned"</script>', '"><img src=x onerror=alert(1)>', "'; alert(1); '", "</th><svg onload=alert(1)>",
    "\u202egpj.exe\u202c", "&lt;b&gt;", "a" * 5000, "\u0000\u001b[31m", "${alert(1)}", "__proto__", "javascript:alert(1)",
]


class Made(unittest.TestCase):
    """A browser for all tests, a gateway and a page for each."""

    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Browser())

    def setUp(self):
        self.gateway = self.enterContext(made_up.Gateway())

    def look(self, wait=True, **how):
        page = self.browser.page(**how)
        self.addCleanup(page.close)
        page.open(self.gateway.url)
        if wait:
            page.until("document.querySelector('#link').dataset.state === 'live'")
        return page

    def says(self, change):
        """Returns level and headline for a snapshot that is well but for what `change` does to it."""
        snapshot = made_up.well()
        change(snapshot)
        return self.page_says(self.look(wait=False), snapshot)

    def page_says(self, page, snapshot, link="{state:'live'}"):
        said = page.run(f"import('/page/sentence.js').then(({{sentence}}) => sentence({json.dumps(snapshot)}, {link}))")
        return said["level"], said["headline"], said["detail"]


class Sentences(Made):
    def test_all_is_well_and_when_it_may_not_be(self):
        page = self.look()
        self.assertEqual(page.text("#headline"), "All is well: 3 services within their objectives, 41 min to the next concern.")
        self.assertEqual(page.run("document.querySelector('#verdict').dataset.level"), "good")
        self.assertEqual(page.run("document.title"), "✓ Nothing to do · Pacer")
        self.assertEqual(page.errors, [])

    def test_what_is_wrong_is_said_with_what_to_do(self):
        page = self.look(wait=False)

        def check(level, headline, detail, change):
            snapshot = made_up.well()
            change(snapshot)
            said = self.page_says(page, snapshot)
            self.assertEqual(said[0], level, said)
            self.assertIn(headline, said[1])
            self.assertIn(detail, said[2])

        first = lambda snapshot: snapshot["services"][0]
        warns = lambda snapshot: snapshot["radar"]["services"][0]["warnings"]
        check("bad", "reports cannot be served: no container is ready", "None is starting", lambda s: s["services"][1]["container"].update(ready=0))
        check("warn", "recognise runs on Lambda alone", "2 tasks are starting", lambda s: first(s)["container"].update(ready=0, starting=2))
        check("bad", "thumbnails’s function is not being called", "tries it again", lambda s: s["services"][2]["lambda"].update(up=False, usable=False))
        check("bad", "1 % of recognise’s requests failed", "Its objective allows 0.1 %", lambda s: first(s)["minute"].update(requests=1000, failed=10))
        check("bad", "2.5 % of recognise’s requests took longer", "That is 800 ms, for all but 1 %", lambda s: first(s)["minute"].update(requests=1000, late=25))
        check("bad", "longer than their objective", "That is 250 ms to 5 s, by route", lambda s: first(s).update(objective={"p99_ms": [250.0, 5000.0], "success": None}, minute={"requests": 100, "failed": 0, "late": 6}))
        check("bad", "no usable credentials", "expired", lambda s: s["credentials"].update(usable=False, error="expired"))
        check("warn", "The policy on disk is refused", "policy.yaml:7", lambda s: s["policy"].update(error={"at": s["at"], "problems": "policy.yaml:7:9 unknown field"}))
        check("warn", "Scaling is frozen", "Reason: deploy", lambda s: s.update(frozen={"since": s["at"], "by": "ana", "reason": "deploy"}))
        check("warn", "reports is not being scaled", "Rate exceeded", lambda s: s["services"][1].update(not_acted_on="Rate exceeded"))
        check("warn", "recognise, now: demand p90 is 26 slots", "Pacer is on it: 4 tasks", lambda s: warns(s).extend(made_up.trouble()["radar"]["services"][0]["warnings"][:1]))
        check("warn", "in 4 min: Lambda throttles", "To do: raise", lambda s: warns(s).extend(made_up.trouble()["radar"]["services"][0]["warnings"][2:]))

    def test_what_is_worst_comes_first(self):
        self.gateway.snapshot = made_up.trouble()
        page = self.look()
        self.assertEqual(page.run("document.querySelector('#verdict').dataset.level"), "bad")
        self.assertIn("failed in the last minute", page.text("#headline"))
        self.assertEqual(page.run("document.querySelectorAll('#more li').length"), 5)

    def test_a_few_failures_are_no_trouble(self):
        level, *_ = self.says(lambda snapshot: snapshot["services"][0]["minute"].update(requests=100, failed=3))
        self.assertEqual(level, "good")

    def test_a_service_without_tasks_by_plan_is_well(self):
        def change(snapshot):
            snapshot["services"][0]["container"].update(ready=0)
            snapshot["services"][0]["plan"].update(tasks=0)
        self.assertEqual(self.says(change)[0], "good")

    def test_honest_while_nothing_is_known(self):
        page = self.look(wait=False)
        self.assertEqual(self.page_says(page, None, "{state:'wait'}")[0], "wait")
        empty = made_up.well()
        for name in ("radar", "ledger"):
            del empty[name]
        empty |= {"flow": None, "decided": {"of": 0, "lines": []}, "actions": []}
        for service in empty["services"]:
            service |= {"rate": None, "failed": None, "lambda_rate": None, "container_rate": None, "minute": None, "plan": None}
        self.assertEqual(self.page_says(page, empty)[:2], ("good", "3 services are ready; no request in the last minute."))
        self.gateway.snapshot = empty
        page = self.look()
        for hidden in ("#radar-panel", "#money-panel"):
            self.assertTrue(page.run(f"document.querySelector('{hidden}').hidden"), hidden)
        self.assertIn("Nothing: no change was needed.", page.text("#actions"))
        self.assertIn("No request has come yet.", page.text("#decisions"))
        self.assertEqual(page.errors, [])

    def test_observe_says_that_nothing_is_changed(self):
        def change(snapshot):
            for service in snapshot["services"]:
                service["mode"] = "observe"
        self.assertIn("only observes", self.says(change)[2])


class Shows(Made):
    def test_numbers_move(self):
        self.gateway.every_s = 0.1
        page = self.look()
        self.gateway.snapshot = copy.deepcopy(self.gateway.snapshot)
        self.gateway.snapshot["flow"]["requests"] = 1234.0
        page.until("document.querySelector('#tiles').innerText.includes('1,234')")
        self.assertIn("1,234", page.run("document.querySelector('#flow svg').textContent"))

    def test_money_radar_and_who_is_ready(self):
        page = self.look()
        for selector, part in [("#radar", "41 min"), ("#radar", "20 will be ready"), ("#money", "Saved today"), ("#money", "against containers with target tracking"),
                               ("#money", "How this is known:"), ("#ready", "thumbnails is ready to act"), ("#actions", "tasks 4 -> 5"), ("#decisions", "every container slot was busy")]:
            self.assertIn(part, page.text(selector))

    def test_nothing_is_wider_than_the_screen(self):
        for snapshot in (made_up.well(), made_up.trouble(), hostile()):
            self.gateway.snapshot = snapshot
            for width in (360, 768, 1280):
                page = self.look(width=width, height=740, phone=width == 360)
                page.until("document.querySelector('#fan svg') !== null")
                self.assertLessEqual(page.run("document.documentElement.scrollWidth"), width)
                self.assertEqual(page.errors, [])
                page.close()    # a browser opens six connections to one address

    def test_dark_light_and_the_switch(self):
        page = self.look(dark=True)
        paper = "getComputedStyle(document.body).backgroundColor"
        dark = page.run(paper)
        page.scheme("light")
        light = page.run(paper)
        self.assertNotEqual(dark, light)
        for expected in (light, dark, light):    # light, dark, as the system: light
            page.run("document.activeElement.blur()")
            page.press("t")
            page.until(f"{paper} === '{expected}'")

    def test_text_can_be_read_in_both(self):
        for dark in (False, True):
            for snapshot in (made_up.well(), made_up.trouble()):
                self.gateway.snapshot = snapshot
                page = self.look(dark=dark)
                page.until("document.querySelector('#fan svg') !== null && document.querySelectorAll('#routes tbody tr').length > 1")
                self.assertEqual(page.run(f"({CONTRAST})()"), [])

    def test_all_of_it_by_keyboard(self):
        page = self.look()
        page.until("document.querySelectorAll('#routes tbody tr').length > 1")
        page.press("?")
        self.assertTrue(page.run("document.querySelector('#keys').open"))
        self.assertIn("hold the decisions still", page.text("#keys"))
        page.press("Escape")
        page.until("!document.querySelector('#keys').open")
        for key, focused in [("h", "verdict"), ("r", "radar-title"), ("c", "time-title"), ("d", "decisions-title"), ("/", "routes-find")]:
            page.run("document.activeElement.blur()")
            page.press(key)
            self.assertEqual(page.run("document.activeElement.id"), focused)
        page.type("thumb")
        page.until("document.querySelectorAll('#routes tbody tr').length === 1")
        page.press("?")    # typed, and no shortcut
        self.assertFalse(page.run("document.querySelector('#keys').open"))
        page.run("document.activeElement.blur()")
        page.press("p")
        self.assertEqual(page.run("document.querySelector('#pause').ariaPressed"), "true")
        page.run("document.activeElement.blur(); scrollTo(0, 0)")
        seen = []
        for _ in range(40):
            page.press("Tab")
            seen.append(page.run("document.activeElement.id || document.activeElement.textContent"))
        wanted = page.run("[...document.querySelectorAll('main button, main select, main input, header button')].filter(e => !e.disabled && e.checkVisibility()).map(e => e.id)")
        self.assertLessEqual(set(wanted), set(seen))

    def test_a_freeze_is_asked_twice_and_sent_as_json(self):
        self.gateway.every_s = 0.1
        page = self.look()
        page.run("document.querySelector('#freeze').click()")
        page.until("document.querySelector('#freezing').open")
        page.run("document.querySelector('#freezing-reason').focus()")
        page.type("deploy of the night")
        page.press("Enter")
        page.until("document.querySelector('#headline').innerText.startsWith('Scaling is frozen')")
        self.assertEqual(self.gateway.posts, [("/freeze", "application/json", {"reason": "deploy of the night"})])
        page.until("document.querySelector('#freeze').innerText === 'Thaw scaling'")
        self.gateway.snapshot["can_freeze"] = False
        page.until("document.querySelector('#freeze').hidden")

    def test_a_token_is_asked_for_and_sent(self):
        self.gateway.token = "sesame"
        page = self.look(wait=False)
        page.until("document.querySelector('#asking').open")
        page.run("document.querySelector('#asking-token').focus()")
        page.type("sesame")
        page.press("Enter")
        page.until("document.querySelector('#link').dataset.state === 'live'")
        page.until("document.querySelectorAll('#routes tbody tr').length > 1")
        self.assertEqual(len(page.errors), 1, page.errors)    # the answer 401


class Holds(Made):
    def test_a_thousand_routes_are_a_page_at_a_time(self):
        self.gateway.routes = [made_up.route(f"/many/{index:04}", rate=float(index)) for index in range(1000)]
        page = self.look()
        page.until("document.querySelectorAll('#routes tbody tr').length === 20")
        self.assertEqual(page.text("#routes-page"), "page 1 of 50")
        self.assertIn("/many/0999", page.text("#routes tbody tr"))
        page.run("document.querySelector('#routes-next').click()")
        page.until("document.querySelector('#routes-page').innerText === 'page 2 of 50'")
        self.assertIn("/many/0979", page.text("#routes tbody tr"))
        page.run("document.querySelector('#routes-find').focus()")
        page.type("/many/012")
        page.until("document.querySelectorAll('#routes tbody tr').length === 10")
        self.assertEqual(page.text("#routes-note"), "10 of 1,000 routes")
        self.assertLess(page.run("document.querySelectorAll('*').length"), 2500)

    def test_hostile_names_are_text(self):
        self.gateway.snapshot = hostile()
        self.gateway.routes = [made_up.route(name, of=name, beliefs=[made_up.belief(name, name, name, 3, 5, 7)]) for name in HOSTILE]
        page = self.look()
        page.until("document.querySelectorAll('#routes tbody tr').length === " + str(len(HOSTILE)))
        self.assertNotEqual(page.run("document.title"), "owned")
        self.assertEqual(page.run("document.querySelectorAll('script:not([src]), img:not(.brand img), [onerror], [onload], [style], a[href^=javascript]').length"), 0)
        self.assertIn('<script>document.title="owned"</script>', page.text("#routes"))
        for part in ("#services", "#actions", "#radar", "#money", "#decisions", "#headline", "#more"):
            self.assertGreater(len(page.text(part)), 0, part)
        self.assertEqual(page.errors, [])

    def test_a_gateway_that_goes_is_told_since_when_and_found_again(self):
        page = self.look()
        port = self.gateway.port
        self.gateway.__exit__()
        page.until("document.querySelector('#link').dataset.state === 'gone'")
        self.assertRegex(page.text("#headline"), r"^The gateway has not answered since \d\d:\d\d:\d\d\.$")
        self.assertIn("tries again by itself", page.text("#detail"))
        self.assertIn("/s", page.text("#services"), "what was seen last stays")
        with made_up.Gateway(port=port):
            page.until("document.querySelector('#link').dataset.state === 'live'")
            self.assertIn("All is well", page.text("#headline"))

    def test_nothing_is_asked_of_anybody_else(self):
        page = self.look()
        page.until("document.querySelector('#fan svg') !== null && document.querySelectorAll('#routes tbody tr').length > 1")
        self.assertGreater(len(page.requests), 15)
        self.assertEqual([url for url in page.requests if not url.startswith((self.gateway.url, "about:"))], [])

    def test_an_hour_of_snapshots_leaves_nothing_behind(self):
        self.gateway.every_s = 0.01
        self.gateway.snapshot["actions"] = []
        page = self.look()
        page.until("document.querySelector('#fan svg') !== null")
        heaps, nodes, drawn = [], [], 0
        for _ in range(4):
            goal = self.gateway.sent + 900
            while self.gateway.sent < goal:
                # Other numbers in each, so that something is drawn.
                self.gateway.snapshot["flow"]["requests"] = float(drawn % 997)
                self.gateway.snapshot["decided"]["lines"] = [made_up.decision(f"/route/{(drawn + line) % 500}", line + 1, "sprinter", "lambda", "learned", 5.0) for line in range(12)]
                drawn += 1
                page.until("true")
                time.sleep(0.005)
            page.run("gc()")
            heaps.append(page.run("performance.memory.usedJSHeapSize"))
            nodes.append(page.run("document.querySelectorAll('*').length"))
        print(f"\n  heap after each 900 snapshots: {[round(heap / 1e6, 2) for heap in heaps]} MB; elements: {nodes}")
        self.assertLess(heaps[-1], heaps[1] * 1.25 + 1e6)
        self.assertLessEqual(nodes[-1], nodes[1] + 20)


def hostile():
    """A snapshot in which everything that strangers name is hostile."""
    snapshot = made_up.trouble()
    snapshot["services"] = [made_up.service(name, 3.0, 0.5, 0, 2, mode=name, not_acted_on=name, discovery_error=name) for name in HOSTILE]
    for one in snapshot["services"]:
        one["plan"]["why"] = one["name"]
    snapshot["actions"] = [{"at": snapshot["at"], "service": name, "kind": name, "what": name, "why": name, "error": name} for name in HOSTILE]
    snapshot["decided"]["lines"] = [made_up.decision(name, 1, name, name, name, 1.0, spill=name, end=name, ruled_out=[f"{name}:{name}"]) for name in HOSTILE]
    snapshot["radar"]["services"] = [
        {"service": name, "level": "now", "minutes": 0.0, "warnings": [{"kind": name, "level": "now", "minutes": 0.0, "says": name, "evidence": {name: name}, "action": {"state": "proposed", "says": name}}],
         "error_budget": {"left": 0.5, "burn": {}, "window": name}, "ready_to_act": {"ready": True, "says": name}} for name in HOSTILE]
    for one in snapshot["ledger"]["days"][0]["services"]:
        one["saved"] = {"usd": 1.0, "against": HOSTILE[0]}
        one["service"] = HOSTILE[0]
        one["instead"] = dict.fromkeys(HOSTILE, 1.0)
    snapshot["ledger"]["method"] = HOSTILE[1]
    snapshot["policy"] |= {"hash": HOSTILE[0], "warnings": HOSTILE, "error": {"at": snapshot["at"], "problems": HOSTILE[1]}}
    snapshot["frozen"] = {"since": snapshot["at"], "by": HOSTILE[0], "reason": HOSTILE[1]}
    snapshot["history"]["error"] = snapshot["credentials"]["error"] = snapshot["gateways"]["error"] = HOSTILE[0]
    snapshot["version"] = HOSTILE[0]
    return snapshot


# Every text against what is painted behind it: 4.5 to 1, or 3 to 1 where it is large (WCAG 2.2, 1.4.3). Text of pictures is
# held against the box that it stands in.
CONTRAST = """() => {
  const rgb = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { c: [r, g, b], a }; };
  const light = ([r, g, b]) => { const l = [r, g, b].map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = (element) => {
    const box = element.closest('svg g')?.querySelector('rect.node');
    if (box) return rgb(getComputedStyle(box).fill).c;
    for (let at = element; at; at = at.parentElement) { const { c, a } = rgb(getComputedStyle(at).backgroundColor); if (a === 1) return c; }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.closest('noscript, :disabled, title, option')) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const found = ratio(rgb(element.namespaceURI.endsWith('svg') ? style.fill : style.color).c, behind(element));
    if (found < wanted) poor.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${found.toFixed(2)}`);
  }
  return [...new Set(poor)];
}"""

if __name__ == "__main__":
    unittest.main()
