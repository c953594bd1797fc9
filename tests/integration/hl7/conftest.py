"""Keys for both ends of TLS."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.delivery.certificates import Certificates, make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Certificates:
    """Made once."""
    return make(tmp_path_factory.mktemp("keys"), program("openssl"))
