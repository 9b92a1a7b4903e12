"""All orders that are killed: what each does to the scene, and which cases it concerns."""

from dataclasses import dataclass
from typing import Any

from tests.faults import scene as s
from tests.faults.acts import accepted, certificate, completed
from tests.faults.scene import Scene


@dataclass(frozen=True)
class Order:
    """An act of `acts.ACTS` with its values; `case` is the case that it pushes, if it is a push."""

    act: str
    values: dict[str, Any]
    case: str | None = None

    @property
    def wire(self) -> dict[str, Any]:
        return {"act": self.act, "with": self.values}


def _push(case: str, body: dict[str, Any]) -> Order:
    return Order("push", {"case": case, "body": body}, case)


def orders(scene: Scene) -> dict[str, Order]:
    a, b, c, d = (scene.identifiers[number] for number in (s.A, s.B, s.C, s.D))
    return {
        "issue two": _push("K-ISSUE", completed(certificate(s.E, s.NEW), certificate(s.F, s.ANNA, s.NEW))),
        "correct one of two": _push(
            s.TWO, completed(certificate(s.A, s.ANNA, word="有"), certificate(s.B, s.ANNA, s.BERT), amendment=1)
        ),
        "renew": _push("K-RENEW", completed(certificate(s.C, s.CARL, word="有", supersedes=(c,)))),
        "renew for others": _push("K-OTHERS", completed(certificate(s.C, s.NEW, s.ANNA, supersedes=(c,)))),
        "replace two and a suspended one": _push(
            "K-REPLACE", completed(certificate(s.E, s.ANNA, supersedes=(a, b, d)), certificate(s.F, s.DORA))
        ),
        "accept": _push("K-ACCEPT", accepted(s.NEW, s.ANNA)),
        "accept after the end": _push(s.TWO, accepted(s.ANNA, s.BERT)),
        "suspend": Order("act", {"act": "suspend", "identifier": a, "kind": "withheld"}),
        "restore": Order("act", {"act": "restore", "identifier": d}),
        "revoke": Order("act", {"act": "revoke", "identifier": b, "kind": "penalty"}),
        "revoke a suspended one": Order("act", {"act": "revoke", "identifier": d, "kind": "cancelled"}),
        "look up": Order("look_up", {"who": list(s.ANNA)}),
        "retrieve": Order("retrieve", {"identifier": a}),
        "replace the signing key": Order("replace_key", {"purpose": "credential"}),
        "load a catalogue": Order("load_catalogue", {}),
    }
