"""Rules of the allow-list: deny by default, and every condition of an entry counts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agent.foundation.settings.tree import AllowedPeer, ListenerSettings
from agent.receive.peers import AssociationResult, Caller, PeerPolicy

FINGERPRINT = "ab" * 32


def policy(*allow: AllowedPeer, called: bool = True) -> PeerPolicy:
    """A policy of ECHO_AGENT with these entries."""
    return PeerPolicy(ListenerSettings(allow=allow, require_called_ae_title=called))


def caller(
    address: str = "10.1.2.3",
    calling: str = "CR1",
    called: str = "ECHO_AGENT",
    certificate: str | None = None,
) -> Caller:
    """Who asks."""
    return Caller(
        address=address, calling_ae_title=calling, called_ae_title=called, certificate_sha256=certificate
    )


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("127.0.0.1", AssociationResult.ACCEPT),
        ("127.5.5.5", AssociationResult.ACCEPT),
        ("::1", AssociationResult.ACCEPT),
        ("::ffff:127.0.0.1", AssociationResult.ACCEPT),
        ("10.1.2.3", AssociationResult.UNKNOWN_CALLER),
        ("2001:db8::1", AssociationResult.UNKNOWN_CALLER),
    ],
)
def test_without_entries_only_this_machine_may_send(address: str, verdict: AssociationResult) -> None:
    """Everything except loopback is denied by default."""
    assert policy().judge(caller(address)) is verdict
    assert policy().knows_address(address) is (verdict is AssociationResult.ACCEPT)


@pytest.mark.parametrize(
    ("who", "verdict"),
    [
        (caller(), AssociationResult.ACCEPT),
        (caller(calling=" CR1 "), AssociationResult.ACCEPT),
        (caller(calling="CR2"), AssociationResult.UNKNOWN_CALLER),
        (caller(calling="cr1"), AssociationResult.UNKNOWN_CALLER),
        (caller("10.2.0.1"), AssociationResult.UNKNOWN_CALLER),
        (caller("127.0.0.1"), AssociationResult.UNKNOWN_CALLER),
        (caller(called="OTHER"), AssociationResult.UNKNOWN_CALLED),
    ],
)
def test_entry_needs_title_and_address(who: Caller, verdict: AssociationResult) -> None:
    """With an allow-list no other peer may send, not even this machine."""
    assert policy(AllowedPeer(ae_title="CR1", address="10.1.0.0/16")).judge(who) is verdict


def test_entry_without_an_address_takes_the_title_from_anywhere() -> None:
    """A condition that is missing from an entry is not checked."""
    rules = policy(AllowedPeer(ae_title="CR1"))
    assert rules.judge(caller("203.0.113.9")) is AssociationResult.ACCEPT
    assert rules.knows_address("203.0.113.9")


@pytest.mark.parametrize(
    ("certificate", "verdict"),
    [
        (FINGERPRINT, AssociationResult.ACCEPT),
        ("cd" * 32, AssociationResult.UNKNOWN_CALLER),
        (None, AssociationResult.UNKNOWN_CALLER),
    ],
)
def test_entry_with_a_certificate_needs_that_certificate(
    certificate: str | None, verdict: AssociationResult
) -> None:
    """A title and an address can be spoofed, a key cannot."""
    rules = policy(AllowedPeer(ae_title="CR1", certificate_sha256=FINGERPRINT))
    assert rules.judge(caller(certificate=certificate)) is verdict


def test_called_title_may_be_anything_where_the_setting_says_so() -> None:
    """`require_called_ae_title: false` serves peers with a fixed called title."""
    rules = policy(AllowedPeer(ae_title="CR1"), called=False)
    assert rules.judge(caller(called="ANY-SCP")) is AssociationResult.ACCEPT


def test_entry_with_an_impossible_address_is_refused_at_start() -> None:
    """A typing error in the allow-list is an error of the settings, not a silent denial."""
    with pytest.raises(ValidationError):
        AllowedPeer(ae_title="CR1", address="10.1.2.300")


def test_unknown_caller_is_rejected_for_good_and_a_full_house_for_now() -> None:
    """Results follow PS3.8 table 9-21: 1 is permanent, 2 is transient."""
    assert AssociationResult.UNKNOWN_CALLER.value == (1, 1, 3)
    assert AssociationResult.UNKNOWN_CALLED.value == (1, 1, 7)
    assert AssociationResult.FULL.value[0] == AssociationResult.STOPPING.value[0] == 2
    assert AssociationResult.FULL.reason_code == "full"


def test_title_for_earlier_studies_is_ours_too() -> None:
    """It is accepted like our own title but told apart; unknown where earlier studies are not fetched."""
    settings = ListenerSettings(allow=(AllowedPeer(ae_title="CR1"),))
    fetching, not_fetching = PeerPolicy(settings, "ECHO_PRIORS "), PeerPolicy(settings)
    who = caller(called="ECHO_PRIORS")
    assert [one.judge(who) for one in (fetching, not_fetching)] == [
        AssociationResult.ACCEPT,
        AssociationResult.UNKNOWN_CALLED,
    ]
    assert [fetching.is_prior(title) for title in (" ECHO_PRIORS", "ECHO_AGENT", "")] == [True, False, False]
    assert [not_fetching.is_prior(title) for title in ("ECHO_PRIORS", "ECHO_AGENT", "")] == [False] * 3
