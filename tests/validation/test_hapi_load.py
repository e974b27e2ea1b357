"""Loading a chart: what a server gets, and how resources refer to one another there."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest

from tests.charts import bundle, lab, patient, resource
from validation.hapi_load import load_chart, loadable
from validation.through_hapi import differences

Json = dict[str, Any]


def as_synthea(*resources: Json) -> bytes:
    """A transaction as Synthea writes it: everything refers to everything by ``urn:uuid:``."""
    text = json.dumps(bundle(*resources, type="transaction"))
    return text.replace("Patient/anna", "urn:uuid:anna").encode()


def test_references_lead_to_what_is_loaded() -> None:
    """The patient comes first, and is what the results are of."""
    content = json.loads(as_synthea(lab("hemoglobin", 91, "g/L", id_="hb"), patient()))
    content["entry"][1]["fullUrl"] = "urn:uuid:anna"

    first, second = loadable(json.dumps(content).encode())

    assert ("Patient", "Observation") == (first["resourceType"], second["resourceType"])
    assert {"reference": "Patient/anna"} == second["subject"]


def test_references_out_of_the_chart_lose_their_target() -> None:
    """A search for a practitioner would be refused; the name stays, and so do other references."""
    performer = {"reference": "Practitioner?identifier=x|1", "display": "Dr. A"}
    order = {"reference": "ServiceRequest/7"}
    (one,) = loadable(
        json.dumps(
            bundle(resource("Observation", "o", performer=[performer], basedOn=[order]))
        ).encode()
    )

    assert [{"display": "Dr. A"}] == one["performer"]
    assert [order] == one["basedOn"]


def test_contained_resources_and_digits_stay() -> None:
    """``#drug`` is inside; 7.40 is not 7.4 to a reader of the evidence."""
    drug = {"resourceType": "Medication", "id": "drug", "code": {"text": "octreotide"}}
    order = resource(
        "MedicationRequest", "o", contained=[drug], medicationReference={"reference": "#drug"}
    )
    text = json.dumps(bundle(order, lab("hemoglobin", 7.4, "g/dL", id_="hb")))
    found = {one["id"]: one for one in loadable(text.replace("7.4", "7.40").encode())}

    assert {"reference": "#drug"} == found["o"]["medicationReference"]
    assert "7.40" == str(found["hb"]["valueQuantity"]["value"])


def test_claims_stay_behind() -> None:
    """The service never asks for them."""
    claim = {"resourceType": "Claim", "id": "c"}

    assert [] == loadable(json.dumps(bundle(claim)).encode())


class _Fails(BaseHTTPRequestHandler):
    """Breaks its first answers off, and takes what comes then."""

    broken = 0
    taken: list[bytes] = []  # noqa: RUF012  (of a class that each test makes anew)

    def do_POST(self) -> None:
        """Answer, or begin to."""
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        broken = len(self.taken) <= self.broken
        self.send_header("Content-Length", "9" if broken else "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("broken", "asked"), [(0, 1), (2, 3), (9, 4)])
def test_a_connection_that_breaks_off_is_tried_again(broken: int, asked: int) -> None:
    """What is put twice is there once; a server that never answers is an error."""
    handler = type("Fails", (_Fails,), {"broken": broken, "taken": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with httpx2.Client(trust_env=False) as client:
            base = f"http://127.0.0.1:{server.server_port}"
            if asked > broken:
                assert {"Patient/anna"} == load_chart(client, base, as_synthea(patient()))
            else:
                with pytest.raises(httpx2.TransportError):
                    load_chart(client, base, as_synthea(patient()))
        server.shutdown()
    assert asked == len(handler.taken)
    assert 1 == len(set(handler.taken))


def test_differences_name_the_field() -> None:
    """A field that is missing, another value, a list of another length."""
    one = {"a": 1, "b": [{"c": 1}, {"c": 2}], "d": [1], "e": None}
    other = {"a": 1, "b": [{"c": 1}, {"c": 3}], "d": [1, 2], "f": 0}

    found = [line.split(":")[0] for line in differences(one, other)]

    assert ["b[1].c", "d", "f"] == found
    assert [] == list(differences(one, one))
