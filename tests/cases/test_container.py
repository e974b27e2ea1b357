"""The service as a container runs it, asked by an EHR with tokens: a case or two of each kind.

The cases are those of the other files, with another service.
"""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cases import (
    test_cards,
    test_clinical_limits,
    test_envelope,
    test_feedback,
    test_identity,
    test_servers,
    test_tokens,
    test_transport,
)
from tests.cases.invariants import check_text
from tests.cases.others import another
from tests.deploy.sandbox import USER, contained, permitted

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from tests.cases.conftest import Running

SMOKE: list[Callable[[Running], None]] = [
    partial(test_envelope.test_not_a_request, body=b'{"hook": "patient-view", '),
    test_envelope.test_another_hook,
    test_envelope.test_a_large_body,
    partial(test_tokens.test_no_token, authorization=None, reason="missing"),
    test_tokens.test_the_same_token_twice,
    test_servers.test_a_server_of_another_hospital,
    partial(test_servers.test_a_redirect_is_not_followed, fault="302-to-canary"),
    partial(test_transport.test_results_that_cannot_be_read, name="http-500"),
    partial(test_transport.test_a_patient_that_cannot_be_read, name="http-404"),
    test_identity.test_a_patient_other_than_the_hook_s_in_the_prefetch,
    partial(test_identity.test_a_record_that_was_merged, person={"active": False}),
    test_clinical_limits.test_values_exactly_at_a_limit,
    test_cards.test_html,
    test_cards.test_headers,
    test_feedback.test_feedback_that_lacks_something,
    test_feedback.test_the_same_five_times_at_once,
]


@pytest.mark.case("LOD-08")
@pytest.mark.may_skip("needs root and mount namespaces, which a container may not give")
@pytest.mark.skipif(not permitted(), reason="needs root, unshare, setpriv and mount namespaces")
def test_a_container_serves(tmp_path: Path, today: date) -> None:
    """As another user, with no capability, on a read-only tree, it answers as anywhere else."""
    (tmp_path / "state").mkdir()
    state = tmp_path / "state"
    with another(state, today, start=partial(contained, state)) as service:
        status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
        for case in SMOKE:
            case(service)
            for server in service.fhir.values():
                server.recovers()
        for file in Path(f"/proc/{service.process.pid}/root/tmp").rglob("*"):
            check_text(file.read_text(encoding="utf-8", errors="replace"), file.name)
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(20)

    assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in status
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert 0 == code
