"""Graphs to draw, built anew for each test, and a browser to look at pages."""

import pytest

from flowc import config
from flowc.frontend import scope
from tests.viz.reader import Reader


@pytest.fixture(autouse=True)
def fresh_graph():
    scope.sessions.clear()
    scope.reset_default_graph()
    with config.override(backend="interpret", verify=True):
        yield
    scope.sessions.clear()


@pytest.fixture(scope="session")
def running():
    """The one browser of these tests, in a list."""
    readers = []
    yield readers
    for found in readers:
        found.__exit__()


@pytest.fixture
def reader(running, tmp_path_factory):
    """A browser with nobody's page in it."""
    if not running or running[-1].has_ended:
        running.append(Reader(tmp_path_factory.mktemp("browser") / "profile"))
    return running[-1]
