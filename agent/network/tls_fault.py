"""Why a TLS handshake failed: OpenSSL's many errors reduced to those that have different remedies. Pure.

Source: RFC 8446 6.2, RFC 5246 7.2.2 (alerts); X509_verify_cert_error_string(3) (numbers).
"""

from __future__ import annotations

import ssl

from agent.network.port_state import PortState

_NOT_YET_VALID, _EXPIRED = 9, 10
_NAME_MISMATCHES = frozenset({62, 63, 64})
# The alerts with which a server rejects our certificate.
_REFUSALS = (
    "UNKNOWN_CA",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "UNSUPPORTED_CERTIFICATE",
    "ACCESS_DENIED",
    "DECRYPT_ERROR",
)
# The errors that OpenSSL reports when the first bytes of an answer are not a TLS record.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


def state_of_tls(error: ssl.SSLError, *, shown: bool) -> PortState:
    """Return what an error of a handshake, or of the first read after it, means.

    shown: whether we have a certificate to present. In TLS 1.2 a server that gets none sends the alert
    handshake_failure or bad_certificate.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _NAME_MISMATCHES:
            return PortState.WRONG_NAME
        return {_EXPIRED: PortState.EXPIRED, _NOT_YET_VALID: PortState.NOT_YET_VALID}.get(
            error.verify_code, PortState.UNTRUSTED
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return PortState.CLOSED
    reason = error.reason or ""
    if "ALERT" in reason:
        if "CERTIFICATE_REQUIRED" in reason:
            return PortState.CERTIFICATE_WANTED
        if any(one in reason for one in _REFUSALS):
            return PortState.CERTIFICATE_REFUSED if shown else PortState.CERTIFICATE_WANTED
        return PortState.HANDSHAKE
    return PortState.PLAIN if any(one in reason for one in _NOT_TLS) else PortState.HANDSHAKE
