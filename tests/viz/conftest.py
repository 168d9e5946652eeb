"""Graphs to draw, built anew for each test."""

import pytest

from flowc import config
from flowc.frontend import scope


@pytest.fixture(autouse=True)
def fresh_graph():
    scope.sessions.clear()
    scope.reset_default_graph()
    with config.override(backend="interpret", verify=True):
        yield
    scope.sessions.clear()
