"""Print what a newcomer needs once the service is ready: addresses, a command that gets a token, and a QR code."""

import argparse
import json
import os
import shlex
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from signing import barcode

WAIT_S = 120.0
POLL_S = 0.05


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--pid", type=int, required=True, help="process id of the service; nothing is printed after its end"
    )
    options = parser.parse_args()
    here = f"http://127.0.0.1:{options.port}"
    data_dir = Path(os.environ["HUB_DATA_DIR"])
    if wait_until_ready(here, options.pid):
        sys.stdout.write("\n".join(banner(here, data_dir)) + "\n")


def wait_until_ready(here: str, pid: int) -> bool:
    """Whether /readyz returned 200 within WAIT_S while the service was alive."""
    # Ignore proxies of the environment: the request stays on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and is_alive(pid):
        try:
            with opener.open(f"{here}/readyz", timeout=2):
                return is_alive(pid)
        except OSError:
            time.sleep(POLL_S)
    return False


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def banner(here: str, data_dir: Path) -> list[str]:
    lines = [
        "",
        "电子证照共享平台已启动，按 Ctrl-C 停止。 The certificate hub is running. Press Ctrl-C to stop it.",
        "",
        f"  接口文档  API documentation   {here}/docs",
        f"  运行状态  Health              {here}/readyz",
    ]
    index_file = data_dir / "sample" / "index.json"
    if not index_file.exists():
        return lines
    index = json.loads(index_file.read_text(encoding="utf-8"))
    certificate = next((c for c in index["certificates"] if c["state"] == "valid"), None)
    if certificate is None:
        return lines
    return lines + sample_lines(here, data_dir, index, certificate)


def sample_lines(here: str, data_dir: Path, index: dict[str, Any], certificate: dict[str, str]) -> list[str]:
    """A certificate of the sample city: how its issuer reads it, and the page that the public sees."""
    client_id = next(c["client_id"] for c in index["cases"] if c["case_number"] == certificate["case_number"])
    client = next(c for c in index["clients"] if c["client_id"] == client_id)
    key_file = data_dir / "sample" / client["key_file"]
    settings = f"HUB_DATA_DIR={shlex.quote(str(data_dir))} " if data_dir != Path("data").absolute() else ""
    token = f"{settings}.venv/bin/hub token --client {shlex.quote(client_id)} --key {shlex.quote(relative(key_file))}"
    verify_url = certificate["verify_url"]
    return [
        f"  示例城市  Sample city         {relative(data_dir / 'sample' / 'index.json')}",
        f"  核验页面  Verification page   {verify_url.partition('#')[0]}",
        "",
        "取得访问令牌，读取一份证照：  Get an access token and read a certificate:",
        "",
        f"  TOKEN=$({token})",
        f'  curl -H "Authorization: Bearer $TOKEN" {here}/api/v1/certificates/{certificate["identifier"]}',
        "",
        "扫码核验这份证照：  Scan to verify this certificate:",
        "",
        barcode.terminal(verify_url, colours=sys.stdout.isatty()),
    ]


def relative(path: Path) -> str:
    """A path relative to this folder, where the commands are typed, if the file is inside it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
