"""The report of a study in a real browser: no errors, every figure drawn, light and dark. Needs chromium.

LOCKSTEP_SCREENSHOTS names a folder that keeps the pictures, for people to look at.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from launcher import LauncherTest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STUDY = ["compare", "--train-samples", "192", "--test-samples", "100", "--epochs", "2", "--precise-bn", "4",
         "--model", "batchnorm, linear 12, relu, batchnorm, linear 10", "--global-batch", "16",
         "--modes", "local,sync", "--batch-sizes", "2,4,8", "--seeds", "1,2", "--predict", "2,64"]


def browse(*arguments):
    """Runs the browser without a network; its output and what its console says."""
    result = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                             "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
                             "--window-size=1100,5000", *arguments],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True)
    return result.stdout, re.findall(r".*:CONSOLE.*", result.stderr)


class Report(LauncherTest):
    def setUp(self):
        super().setUp()
        self.succeed(2, *STUDY, "--output", "study", seconds=120)
        self.address = (self.folder / "study" / "report.html").as_uri()
        self.pictures = pathlib.Path(os.environ.get("LOCKSTEP_SCREENSHOTS", self.folder))

    def test_in_a_browser(self):
        page, console = browse("--dump-dom", self.address)
        self.assertEqual(console, [])
        self.assertEqual(page.count("<figure"), 9)
        # The script has taken every value over, from where browsers show it late to where it shows it at once.
        self.assertGreater(page.count("data-value="), 100)
        self.assertNotIn("<title>", page[page.index("<main>"):])
        light, dark = (self.picture(name, scheme) for name, scheme in (("light", 1), ("dark", 0)))
        self.assertNotEqual(light, dark)
        for picture in (light, dark):
            self.assertGreater(len(picture), 100_000)  # an empty page of this size has a tenth of it

    def picture(self, name, scheme):
        path = self.pictures / f"report-{name}.png"
        _, console = browse(f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={path}", self.address)
        self.assertEqual(console, [])
        return path.read_bytes()


if __name__ == "__main__":
    if not BROWSER:
        print("skipped: there is no chromium here")
        sys.exit(77)
    unittest.main()
