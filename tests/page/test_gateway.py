"""The built-in page in a real Chromium, served by a real gateway under load."""

import http.client
import json
import sys
import unittest

sys.dont_write_bytecode = True    # before the imports: a test leaves nothing behind in the tree

import made_up  # noqa: E402
from browser import Browser  # noqa: E402
from real import HOSTILE, Gateway, Load, Task  # noqa: E402

LIVE = "document.querySelector('#link').dataset.state === 'live'"


class Real(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Browser())

    def setUp(self):
        self.task = self.enterContext(Task())

    def look(self, gateway, **how):
        page = self.browser.page(**how)
        self.addCleanup(page.close)
        page.open(gateway.url)
        page.until(LIVE)
        return page

    def get(self, gateway, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=30)
        self.addCleanup(connection.close)
        connection.request("GET", path, headers=headers)
        return connection.getresponse()

    def snapshot(self, gateway):
        return json.loads(self.get(gateway, "/live").readline().removeprefix(b"data: "))

    def test_it_shows_a_gateway_under_load(self):
        with Gateway(self.task.port, routes=1000) as gateway, Load(gateway.http, ["/render", "/many/0007"]):
            page = self.look(gateway)
            page.until("document.querySelector('#headline').innerText.startsWith('All is well: 1 service within its objective')")
            self.assertIn("only observes", page.text("#detail"))
            self.assertIn("1,002 routes", page.text("#foot"))
            page.until("document.querySelector('#tiles .big').innerText.match(/^[1-9]/)")
            before = page.text("#tiles")
            page.until(f"document.querySelector('#tiles').innerText !== {json.dumps(before)}")
            page.press("d")
            page.until("document.querySelector('#decisions').innerText.includes('/render')")
            page.press("/")
            page.type("many/0007")
            page.until("document.querySelectorAll('#routes tbody tr').length === 1 && /[1-9].*\\/s/.test(document.querySelector('#routes').innerText)")
            self.assertEqual(page.text("#routes-note"), "1 of 1,002 routes")
            page.until("document.querySelector('#services').innerText.includes('would have; changes nothing')")
            self.assertEqual(page.errors, [])
            self.assertEqual([url for url in page.requests if not url.startswith((gateway.url, "about:"))], [])

    def test_what_fails_is_said_and_what_is_mended_too(self):
        self.task.status = 503
        with Gateway(self.task.port) as gateway, Load(gateway.http, ["/render"]):
            page = self.look(gateway)
            page.until("document.querySelector('#verdict').dataset.level === 'bad'")
            self.assertRegex(page.text("#headline"), r"^\d+(\.\d+)? % of film’s requests failed in the last minute\.$")
            self.assertIn("▲", page.text("#services"))
            page.until("document.querySelector('#decisions').innerText.includes('503')")

    def test_a_gateway_that_is_killed_and_comes_back(self):
        with Gateway(self.task.port) as gateway:
            page = self.look(gateway)
            gateway.kill()
            page.until("document.querySelector('#headline').innerText.startsWith('The gateway has not answered since')")
            with Gateway(self.task.port, admin=gateway.admin):
                page.until(LIVE)
                page.until("document.querySelector('#verdict').dataset.level === 'good'")

    def test_hostile_paths_of_the_policy_are_text(self):
        with Gateway(self.task.port) as gateway:
            page = self.look(gateway)
            page.press("/")
            page.type("a'b")
            page.until("document.querySelectorAll('#routes tbody tr').length === 1")
            self.assertIn(HOSTILE, page.text("#routes"))
            self.assertEqual(page.errors, [])

    def test_the_page_may_do_nothing_but_what_it_is_for(self):
        with Gateway(self.task.port) as gateway:
            answer = self.get(gateway, "/", accept="text/html")
            self.assertEqual(answer.headers["content-security-policy"], made_up.POLICY)
            self.assertIn("default-src 'none'", made_up.POLICY)
            self.assertNotIn("unsafe", made_up.POLICY)
            self.assertTrue(self.get(gateway, "/").read().startswith(b"pacer admin API"))
            page = self.look(gateway)
            tried = page.run("new Promise((done) => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); setTimeout(() => done(window.ran ?? 0), 50) })")
            self.assertEqual(tried, 0, "an inline script runs")

    def test_what_is_made_up_has_the_shape_of_what_is_real(self):
        with Gateway(self.task.port) as gateway, Load(gateway.http, ["/render"]):
            page = self.look(gateway)
            page.until("document.querySelector('#services').innerText.includes('would have; changes nothing')")
            page.until("document.querySelector('#tiles .big').innerText.match(/^[1-9]/)")
            real = self.snapshot(gateway)
            made = made_up.well()
            self.assertLessEqual(set(made) - {"radar"}, set(real))
            for part in ("flow", "policy"):
                self.assertEqual(set(made[part]), set(real[part]), part)
            film, recognise = real["services"][0], made["services"][0]
            self.assertEqual(set(recognise), set(film))
            for part in ("container", "minute", "objective", "plan"):
                self.assertEqual(set(recognise[part]), set(film[part]), part)
            self.assertEqual(set(made["decided"]["lines"][0]), set(real["decided"]["lines"][0]))
            page.until("document.querySelector('#money').innerText.includes('Cost today')")
            real = self.snapshot(gateway)
            for name in ("day", "total", "saved", "own", "services"):
                self.assertIn(name, real["ledger"]["days"][0])
            self.assertEqual(set(made["ledger"]), set(real["ledger"]))
            self.assertEqual(set(made["ledger"]["days"][0]["services"][0]), set(real["ledger"]["days"][0]["services"][0]))
            self.assertLessEqual(set(made["ledger"]["days"][0]["services"][0]["cost"]), set(real["ledger"]["days"][0]["services"][0]["cost"]))
            real, made = (json.loads(self.get(gateway, "/live/timeline?service=film").read()), made_up.timeline("film"))
            self.assertEqual((set(made), made["columns"]), (set(real), real["columns"]))
            real = json.loads(self.get(gateway, "/live/routes").read())["rows"][0]
            self.assertEqual(set(made_up.ROUTES[0]), set(real))
            self.assertEqual(set(made_up.ROUTES[0]["beliefs"][0]), set(real["beliefs"][0]))


if __name__ == "__main__":
    unittest.main()
