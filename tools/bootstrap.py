"""One command from a fresh clone to a running demo or test: makes `.venv` in the clone, then runs in it.

    python3 tools/bootstrap.py demo [ARGS...]       trains on the bundled digits (examples/digits_demo.py)
    python3 tools/bootstrap.py test [ARGS...]       runs the tests; ARGS go to pytest

Needs a Python of 3.11 or later with pip, and nothing else. The first start installs; a later one only compares a stamp and goes on.
This file keeps to the syntax of Python 3.6, so that an old Python can say that it is too old.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = ".venv"
LOCK = ".venv.lock"
# Inside the environment: the first is there while it is being made, the second once it is whole.
UNFINISHED = "flowc-unfinished"
STAMP = "flowc-stamp"
COMMANDS = {
    "demo": ["examples/digits_demo.py"],
    "test": ["-m", "pytest"],
}
USAGE = "usage: python3 tools/bootstrap.py demo|test [ARGS...]"
PIP_WITH_PYTHON_OPTION = (22, 3)  # since then `pip --python` installs into another environment
# Of pip's messages, those that mean that it reached no package index.
OFFLINE = (
    "NewConnectionError",
    "Max retries exceeded",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Connection refused",
    "Network is unreachable",
    "ProxyError",
    "timed out",
    "(from versions: none)",
)
# Settings of the user's that would send an installation past the environment.
MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV")


class Missing(Exception):
    """What is missing, in the user's terms; the whole message."""


def say(text):  # type: (str) -> None
    print("bootstrap: " + text, file=sys.stderr, flush=True)


def check_python(version=sys.version_info, platform=os.name):  # type: (tuple, str) -> None
    if tuple(version[:2]) < NEEDED:
        raise Missing(
            "Python %d.%d or later is needed; this is %d.%d (%s)\n"
            "start it with a newer one, for example: python3.11 tools/bootstrap.py test" % (NEEDED[0], NEEDED[1], version[0], version[1], sys.executable)
        )
    if platform != "posix":
        raise Missing("Linux or macOS is needed (on Windows: inside WSL)")


def python_of(environment):  # type: (str) -> str
    return os.path.join(environment, "bin", "python")


def asked(root):  # type: (str) -> str
    """A digest of what the clone asks for."""
    try:
        with open(os.path.join(root, "pyproject.toml"), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise Missing("%s cannot be read (%s): is this a whole clone?" % (error.filename, error.strerror)) from None


def place_of(environment):  # type: (str) -> list
    """What an environment's scripts and packages rest on: where it lies, and the very Python behind its own."""
    return [os.path.abspath(environment), os.path.realpath(python_of(environment))]


def stamp_text(root):  # type: (str) -> str
    """What a whole environment carries: what it was made from and where. Which Python asks does not matter, if it is new enough."""
    return "\n".join([asked(root), *place_of(os.path.join(root, ENVIRONMENT)), ""])


def read_text(path):  # type: (str) -> str
    """A file's text; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def is_ready(root):  # type: (str) -> bool
    """Whether the environment is whole and made from what the clone asks for now."""
    environment = os.path.join(root, ENVIRONMENT)
    wanted = stamp_text(root)
    whole = os.access(python_of(environment), os.X_OK) and not os.path.exists(os.path.join(environment, UNFINISHED))
    return whole and read_text(os.path.join(environment, STAMP)) == wanted


@contextlib.contextmanager
def locked(root):
    """Holds the clone's lock; the system lets go of it when its holders end, however they end. Gives the lock's file number."""
    import fcntl

    number = os.open(os.path.join(root, LOCK), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is making the environment; waiting for it")
            fcntl.flock(number, fcntl.LOCK_EX)
        yield number
    finally:
        os.close(number)


def last_lines(text, count=8):  # type: (str, int) -> str
    """The end of a program's output, where the reason of a failure stands, indented."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join("  " + line for line in lines[-count:])


def run_quietly(command, root, lock):  # type: (list, str, int) -> tuple
    """Runs a program and returns its exit status and its output, both streams together.

    The program holds the lock too: should this process be killed, the next start waits until the program has ended.
    """
    variables = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    done = subprocess.run(
        command, cwd=root, env=variables, pass_fds=(lock,), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def has_module(name):  # type: (str) -> bool
    import importlib.util

    return importlib.util.find_spec(name) is not None


def own_pip_version():  # type: () -> tuple
    """The version of the pip of this Python; (0, 0) where it has none."""
    import importlib.metadata

    try:
        parts = importlib.metadata.version("pip").split(".")
        return int(parts[0]), int(parts[1])
    except (importlib.metadata.PackageNotFoundError, ValueError, IndexError):
        return 0, 0


def make_environment(root, lock):  # type: (str, int) -> None
    """Makes an empty virtual environment; without a pip of its own where Python lacks `ensurepip` but has a pip that can stand in."""
    environment = os.path.join(root, ENVIRONMENT)
    package = "python%d.%d-venv" % sys.version_info[:2]
    advice = "on Debian or Ubuntu: apt install %s" % package
    if not has_module("venv"):
        raise Missing("this Python (%s) has no `venv` module, which makes the environment\n%s" % (sys.executable, advice))
    command = [sys.executable, "-m", "venv", environment]
    if not has_module("ensurepip"):
        if own_pip_version() < PIP_WITH_PYTHON_OPTION:
            raise Missing(
                "this Python (%s) can make no environment: it has neither the `ensurepip` module nor a pip of %d.%d or later\n%s"
                % (sys.executable, PIP_WITH_PYTHON_OPTION[0], PIP_WITH_PYTHON_OPTION[1], advice)
            )
        command.insert(3, "--without-pip")
    os.mkdir(environment)
    with open(os.path.join(environment, UNFINISHED), "w"):
        pass
    status, output = run_quietly(command, root, lock)
    if status != 0:
        raise Missing("`python -m venv` failed:\n%s\n%s" % (last_lines(output), advice))


def pip_command(environment):  # type: (str) -> list
    """The start of a pip command line that installs into the environment: with its own pip, or from outside."""
    import glob

    if glob.glob(os.path.join(environment, "lib", "python*", "site-packages", "pip")):
        return [python_of(environment), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", python_of(environment)]


def optional_requirements(root):  # type: (str) -> list
    """What the extra `viz` asks for."""
    import tomllib

    with open(os.path.join(root, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)["project"]["optional-dependencies"].get("viz", [])


def install(root, lock):  # type: (str, int) -> None
    """Installs the clone, editable, with what its tests need; then what only drawing needs, as far as it is to be had as wheels."""
    pip = pip_command(os.path.join(root, ENVIRONMENT))
    options = ["install", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    status, output = run_quietly(pip + options + ["-e", ".[test]"], root, lock)
    if status != 0:
        offline = [line for line in output.splitlines() if any(sign in line for sign in OFFLINE)]
        reason = "no package index was reached (is there a network?); pip says:" if offline else "pip could not install the packages; it says at its end:"
        raise Missing("%s\n%s\nafter that, start the same command again" % (reason, last_lines("\n".join(offline[-3:]) if offline else output)))
    drawing = optional_requirements(root)
    if drawing and run_quietly(pip + options + ["--only-binary", ":all:"] + drawing, root, lock)[0] != 0:
        say("going on without %s: pictures then need a `dot` program (Graphviz)" % ", ".join(drawing))


def runs(environment):  # type: (str) -> bool
    """Whether the environment's Python starts and is new enough."""
    question = "import sys; sys.exit(sys.version_info[:2] < %r)" % (NEEDED,)
    try:
        return subprocess.run([python_of(environment), "-c", question], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def is_usable(root):  # type: (str) -> bool
    """Whether pip may complete the environment that is there: it was whole once, or is the user's own, and its Python runs."""
    environment = os.path.join(root, ENVIRONMENT)
    if os.path.exists(os.path.join(environment, UNFINISHED)) or not runs(environment):
        return False
    stamp = read_text(os.path.join(environment, STAMP)).splitlines()
    # One that was made elsewhere or for another Python keeps paths to there in its scripts.
    return not stamp or stamp[1:] == place_of(environment)


def remove(path):  # type: (str) -> None
    if os.path.islink(path) or os.path.isfile(path):
        os.remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def prepare(root, make=make_environment, fill=install):
    """Makes the environment whole, unless it is. `make(root, lock)` creates it, `fill(root, lock)` installs into it."""
    if is_ready(root):
        return
    try:
        with locked(root) as lock:
            if is_ready(root):  # whoever held the lock before has made it
                return
            environment = os.path.join(root, ENVIRONMENT)
            begun = time.monotonic()
            if is_usable(root):
                say("pyproject.toml has changed or %s is new here: installing into it ..." % ENVIRONMENT)
            else:
                if os.path.lexists(environment):
                    say("%s is unfinished, moved, or its Python is gone: making it anew" % ENVIRONMENT)
                    remove(environment)
                say("making the environment in %s (half a minute or so, 600 MB) ..." % environment)
                make(root, lock)
            with open(os.path.join(environment, UNFINISHED), "w"):
                pass
            fill(root, lock)
            with open(os.path.join(environment, STAMP), "w", encoding="utf-8") as file:
                file.write(stamp_text(root))
            os.remove(os.path.join(environment, UNFINISHED))
            say("the environment is ready after %.0f s" % (time.monotonic() - begun))
    except OSError as error:
        raise Missing("cannot write in %s: %s" % (root, error)) from None


def command_line(root, arguments):  # type: (str, list) -> list
    """What to run in the environment for `demo ...` or `test ...`."""
    start = COMMANDS[arguments[0]]
    script = os.path.join(root, start[0])
    if start[0].endswith(".py") and not os.path.isfile(script):
        raise Missing("%s is not there: is this a whole clone?" % script)
    return [python_of(os.path.join(root, ENVIRONMENT)), *start, *arguments[1:]]


def main(arguments, root=ROOT):
    if not arguments or arguments[0] not in COMMANDS:
        asked = bool(arguments) and arguments[0] in ("-h", "--help", "help")
        print(__doc__.strip() if asked else USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    try:
        check_python()
        command = command_line(root, arguments)
        prepare(root)
    except Missing as missing:
        say(str(missing).replace("\n", "\nbootstrap: "))
        return 1
    except KeyboardInterrupt:
        say("stopped; the same command begins again")
        return 130
    os.chdir(root)
    sys.stdout.flush()
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
