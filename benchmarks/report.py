"""How long the page of a report takes to write and to open, and how large it is, by the number of disagreements."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from judge.report.report import Report
from tests.report.sample import report

OPENED = "performance.timing.domContentLoadedEventEnd - performance.timing.responseEnd"


def opened(path: Path) -> str:
    """Milliseconds from the last byte to a page that can be used, in the Chromium that is there."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return "not measured: no Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(path.as_uri())
        took = page.evaluate(OPENED)
        browser.close()
    return f"{took / 1000:.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 1_000, 100_000])
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        for rows in options.rows:
            whole = report(max(rows, 1))
            start = time.perf_counter()
            Report(whole).save(path)
            took = time.perf_counter() - start
            size = path.stat().st_size / 1e6
            print(f"{rows:>7,} disagreements   written in {took:.2f} s   {size:.1f} MB   opened in {opened(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
