"""Every test starts with an empty default graph and no session, and runs on the interpreter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowc import config
from flowc.frontend import scope


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    scope.sessions.clear()
    scope.reset_default_graph()
    with config.override(backend="interpret", verify=True):
        yield
    scope.sessions.clear()
