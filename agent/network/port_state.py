"""The faults of another system's port, address or certificate, each with its remedy."""

from __future__ import annotations

from enum import Enum


class PortState(Enum):
    """The finding in words, and what to do about it."""

    UNKNOWN_HOST = ("its host name cannot be resolved", "correct the host name, or the name server")
    REFUSED = (
        "the connection is refused: the machine is there, and nothing listens at this port",
        "start the service there, or correct the port",
    )
    UNREACHABLE = (
        "the connection is not answered: no such machine, or a firewall drops it",
        "correct the host; let the firewall pass this port from here",
    )
    SILENT = (
        "the port is open, but does not answer",
        "look at the log there; a port forwarding without a target, or a service that hangs, does this",
    )
    CLOSED = (
        "the connection is closed without an answer",
        "check whether it knows us (AE title, address), and whether the port wants TLS",
    )
    RESET = (
        "the connection is reset",
        "check whether it or a firewall blocks this address, or the port wants TLS; the log there says more",
    )
    TLS = (
        "the port speaks TLS",
        "set TLS for it here (`tls`, or an https address), or use its port without TLS",
    )
    PLAIN = (
        "the port does not speak TLS",
        "use its port with TLS, or leave TLS out here (`tls`, or an http address)",
    )
    UNTRUSTED = (
        "its certificate is signed by no authority that we trust",
        "name its authority's PEM file in `tls.authorities` (or REQUESTS_CA_BUNDLE)",
    )
    WRONG_NAME = (
        "its certificate is issued for another name",
        "use the name that is in the certificate, or set `tls.server_name`",
    )
    EXPIRED = ("its certificate has expired", "let it be renewed there, and check the clock here")
    NOT_YET_VALID = ("its certificate is not valid yet", "check the clocks of both machines")
    CERTIFICATE_WANTED = (
        "it wants a certificate from us",
        "set `tls.certificate` and `tls.key`",
    )
    CERTIFICATE_REFUSED = (
        "it refuses our certificate",
        "let it trust the authority of `tls.certificate`, or renew that certificate",
    )
    HANDSHAKE = (
        "it breaks off the TLS handshake",
        "enable TLS 1.2 or 1.3 with ECDHE there; if it wants a certificate from us, set `tls.certificate`",
    )
    DROPPED = (
        "it accepts the TLS connection and closes it without an answer",
        "if it wants a certificate from us, set `tls.certificate`, or let it trust the authority of that "
        "one, else look at its log",
    )
    PROXY = (
        "the HTTP proxy does not let us through",
        "correct HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the service",
    )
    DICOM = (
        "a DICOM service answers at this port",
        "correct the port; at a PACS check the AE titles: it must know ours and this address",
    )
    HL7 = ("an HL7 (MLLP) service answers at this port", "correct the port")
    HTTP = ("a web server answers at this port", "correct the port, or the path of the address")
    OTHER = ("another protocol answers at this port", "correct the port")

    @property
    def words(self) -> str:
        """What was found."""
        return self.value[0]

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.value[1]

    @property
    def advice(self) -> str:
        """Both in one line."""
        return f"{self.words}; {self.remedy}"
