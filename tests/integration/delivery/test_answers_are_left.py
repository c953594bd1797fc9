"""An answer reaches who asked for it, whichever thread sees it first."""

from __future__ import annotations

from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.sop_class import Verification

from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


def test_answer_is_left_by_the_associations_own_thread(free_port: int) -> None:
    """On a busy machine that thread may not have paused when the answer to our next request arrives."""
    peer, entity = AE(ae_title="PEER"), AE(ae_title="US")
    peer.add_supported_context(Verification)
    entity.add_requested_context(Verification)
    server = peer.start_server(("127.0.0.1", free_port), block=False)
    association = entity.associate("127.0.0.1", free_port)
    take, looks = association.dimse.get_msg, 0

    def counted(block: bool = False) -> Any:
        nonlocal looks
        found = take(block)
        looks += 1
        return found

    association.dimse.get_msg = counted  # type: ignore[method-assign]
    answer = C_ECHO()
    answer.MessageIDBeingRespondedTo, answer.Status = 1, 0x0000
    association.dimse.msg_queue.put((1, answer))
    before = looks
    wait_for(lambda: looks > before + 2)
    waiting = association.dimse.msg_queue.qsize()
    assert association.dimse.get_msg(block=True) == (1, answer)
    association.release()
    server.shutdown()
    assert waiting == 1
