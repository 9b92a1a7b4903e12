"""The cost of a PDF, against floors measured in the same run: `python -m tests.benchmarks.pdf`, exit 1 if missed.

Floor of drawing: the signature itself and the digest of the file. Floor of verifying: the same two, verified.
"""

import hashlib
import sys
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signing import barcode
from signing.keys import Purpose
from signing.pdf.check.checking import Checkers
from signing.pdf.check.inspection import inspect
from signing.pdf.draw import document, face, signature
from signing.pdf.draw.rendition import render, render_copy
from tests.support import pdf_samples as samples

ROUNDS, TURNS = 5, 8
SEALED_MS, COPY_MS, UNKNOWN_MS, KILOBYTES = 60.0, 80.0, 60.0, 90.0


def cost_ms(work: Callable[[], object]) -> float:
    """CPU time per call, the minimum of several rounds."""
    work()
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(TURNS):
            work()
        rounds.append((time.process_time() - started) / TURNS * 1000)
    return min(rounds)


def main() -> int:
    missed = []

    def show(name: str, figure: float, unit: str, bound: float | None = None) -> None:
        print(f"{name:58} {figure:8.2f} {unit}" + (f"   to reach: {bound:g}" if bound else ""))
        if bound is not None and figure > bound:
            missed.append(name)

    text, seal, trust = samples.printed()[3], samples.seal(), samples.city().trust()
    for name, sheet in samples.SHEETS.items():
        drawn = sheet()
        show(f"sealed PDF, {name}", cost_ms(lambda d=drawn: render(d, text, seal, samples.MADE)), "ms", SEALED_MS)
        show(f"size, {name}", len(samples.sealed(name)) / 1024, "KiB", KILOBYTES)
        copied = cost_ms(lambda d=drawn: render_copy(d, samples.note(), text, seal, samples.MADE))
        show(f"annotated copy, {name}", copied, "ms", COPY_MS)
    sheet = samples.licence()
    drawing = face.draw(sheet)
    unsigned = document.assemble(sheet, drawing, text, samples.MADE, seal.room)
    show("  of it: drawing", cost_ms(lambda: face.draw(sheet)), "ms")
    show("  of that: QR code", cost_ms(lambda: barcode.matrix(sheet.qr_text)), "ms")
    show(
        "  of it: file, font and metadata",
        cost_ms(lambda: document.assemble(sheet, drawing, text, samples.MADE, seal.room)),
        "ms",
    )
    show("  of it: CMS object and signature", cost_ms(lambda: signature.sign(unsigned, seal)), "ms")
    private = seal.folder.private_key(seal.key.kid, Purpose.DOCUMENT)
    pdf = samples.sealed("licence")
    digest = hashlib.sha256(pdf).digest()
    made = private.sign(digest, ec.ECDSA(hashes.SHA256()))
    show(
        "floor: one signature and one digest",
        cost_ms(lambda: private.sign(hashlib.sha256(pdf).digest(), ec.ECDSA(hashes.SHA256()))),
        "ms",
    )
    show(
        "unknown PDF, intact, in this process", cost_ms(lambda: inspect(pdf, trust, samples.CHECKED)), "ms", UNKNOWN_MS
    )
    broken = pdf[:-40] + b"x" + pdf[-39:]
    show("unknown PDF, changed, its QR code read", cost_ms(lambda: inspect(broken, trust, samples.CHECKED)), "ms", None)
    show(
        "floor: one verification and one digest",
        cost_ms(lambda: (hashlib.sha256(pdf), seal.key.key.verify(made, digest, ec.ECDSA(hashes.SHA256())))),
        "ms",
    )
    with Checkers(1, 20) as checkers:
        show(
            "unknown PDF through a checker, CPU of the caller",
            cost_ms(lambda: checkers.check(pdf, trust, samples.CHECKED)),
            "ms",
            5.0,
        )
        started = time.monotonic()
        for _ in range(20):
            checkers.check(pdf, trust, samples.CHECKED)
        show("unknown PDF through a checker, elapsed", (time.monotonic() - started) / 20 * 1000, "ms")
    print("missed: " + (", ".join(missed) or "nothing"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
