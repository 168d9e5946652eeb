"""The commands and their arguments: `main(argv)` gives the exit code; bad input is one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

MODEL_HELP = "MODEL.py is any script that builds a graph or defines functions under flowc.compile; MODEL.py:NAME picks one"
MODEL_TEXT = """
The script is run as `flowc run` runs it, until its first session.run that trains (that run is not made), or to its end.
What is shown without NAME: that run; else the script's last run that is no initializer; else, for a graph that is never run,
everything in it that nothing else uses; and in a script without a graph, its compiled functions.
NAME is the name of a tensor, operation, variable, graph or compiled function in the script (`loss`), or of a node (`Loss/Mean`).
"""


def parser() -> argparse.ArgumentParser:
    """All commands with their help."""
    root = argparse.ArgumentParser(
        prog="flowc",
        description="A dataflow graph compiler: TensorFlow-1-style programs and plain functions become fused Numba loops.",
        epilog="examples:\n  flowc run train.py data/\n  flowc viz model.py -o graph.svg\n  flowc ir model.py:loss --after fuse\n"
        "  flowc explain model.py\n  flowc bench model.py\n"
        "\n`flowc COMMAND --help` tells more of each command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="store_true", help="print flowc's version and those of what it builds on")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, help: str, epilog: str, **options: Any) -> argparse.ArgumentParser:
        raw = argparse.RawDescriptionHelpFormatter
        return commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", epilog=epilog.strip(), formatter_class=raw, **options)

    run = command(
        "run", "run a TensorFlow 1 script, unchanged, with flowc as its tensorflow",
        "example:\n  flowc run mnist_softmax.py /tmp/data/\n\nThe script sees its own arguments; everything after SCRIPT is its.",
    )  # fmt: skip
    run.add_argument("script", metavar="SCRIPT", help="the script; `import tensorflow` in it gives flowc")
    run.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="the script's arguments")
    run.set_defaults(do=do_run)

    ir = command(
        "ir", "print a program at one of the compiler's levels",
        "examples:\n  flowc ir model.py                     the run's function, before any pass\n"
        "  flowc ir model.py --after fuse        after a pass\n  flowc ir model.py:loss --level kernel the loops of each kernel\n"
        "  flowc ir model.py --level source      the generated Python\n  flowc ir model.py --diff simplify     what a pass changes\n" + MODEL_TEXT,
    )  # fmt: skip
    _model_arguments(ir)
    shown = ir.add_mutually_exclusive_group()
    shown.add_argument("--level", choices=("graph", "function", "module", "kernel", "source"), help="by default function")
    shown.add_argument("--diff", metavar="PASS", help="show the lines that this pass takes and gives, in colour on a terminal unless NO_COLOR is set")
    ir.add_argument("--after", metavar="PASS", help="show the function after this pass; an unknown name lists the passes")
    ir.set_defaults(do=do_ir)

    viz = command(
        "viz", "draw a program: scopes as nested boxes, types on the lines",
        "examples:\n  flowc viz model.py                    model.html, a page to explore: every pass, the kernels, their source\n"
        "  flowc viz model.py -o graph.svg       a picture; .png, .pdf too\n"
        "  flowc viz model.py:loss -o loss.dot   only what `loss` needs; .dot needs no Graphviz\n"
        "  flowc viz model.py -o -               the tree of scopes, as text\n"
        "  flowc viz model.py -o graph.svg --depth 1                     scopes closed but for the outermost\n"
        "  flowc viz model.py -o near.svg --around Loss/Mean --radius 3  what is near a node\n"
        "  flowc viz model.py -o kernels.svg --level kernel              the loops of each kernel\n"
        "  flowc viz model.py -o folded.svg --after fold                 what a pass made of the program\n"
        "  flowc viz model.py --diff new.py -o changes.html\n"
        "  flowc viz model.py -o model.html --profile              measures the kernels: their times are on the page\n"
        "  flowc viz model.py -o model.html --profile kernels.json  as `flowc bench --json kernels.json` measured them, or the program\n"
        "                                                          itself: flowc.profile().save or tf.RunMetadata.save\n"
        "\nA page is one file that needs nothing else: a timeline over the passes with what each changes, the kernels with source, operations,\n"
        "bytes and the reasons why two are not one, search, traces, colours by op, kernel, time or memory. Its address keeps the view, so a\n"
        "link to it can be shared; its `?` key lists the keys.\n"
        "Pictures are drawn by Graphviz: its `dot` program, or else the pygraphviz package.\n"
        "Gradients, updates and initial values are folded into one box per node or variable; --full draws every node. They, summaries and\n"
        "savers stand aside, with a mark on each box that they attach to; --all draws them in. Four and more like scopes are drawn as one stack.\n"
        + MODEL_TEXT,
    )  # fmt: skip
    _model_arguments(viz)
    viz.add_argument(
        "-o", "--output", metavar="FILE",
        help="a file that ends in .html, .svg, .png, .pdf, .dot, .json or .txt, by default MODEL.html; - prints the tree of scopes",
    )  # fmt: skip
    viz.add_argument("--all", action="store_true", help="draw in gradients, optimizers, initial values, summaries and savers")
    viz.add_argument("--full", action="store_true", help="a box for every node of the graph")
    viz.add_argument("--depth", metavar="N", help="open N levels of scopes; by default as many as stay readable")
    viz.add_argument("--scope", metavar="NAME", help="only what is in a scope, and what it is linked to")
    viz.add_argument("--around", metavar="NODE", help="only what is near a node or a scope")
    viz.add_argument("--radius", metavar="R", help="how many lines away --around goes; by default 2")
    viz.add_argument(
        "--level", choices=("graph", "function", "module", "kernel"),
        help="by default graph; for compiled functions function; a module shows what each kernel computes, kernel its loops",
    )  # fmt: skip
    viz.add_argument("--after", metavar="PASS", help="the function after this pass; an unknown name lists the passes")
    viz.add_argument("--diff", metavar="OTHER.py[:NAME]", help="a page that marks what OTHER adds to the program's graph, changes in it and takes from it")
    viz.add_argument("--profile", metavar="FILE.json", nargs="?", const="", help="show each kernel's time on a page: measured now, or what FILE says")
    tone = viz.add_mutually_exclusive_group()
    for theme in ("light", "dark"):
        said = "light, as pictures are by default" if theme == "light" else "dark"
        tone.add_argument(f"--{theme}", dest="theme", action="store_const", const=theme, default="", help=f"{said}; a page goes by the reader's system else")
    viz.set_defaults(do=do_viz)

    explain = command(
        "explain", "say what the compiler decided: the kernels, what each fuses, and why its neighbours stay apart",
        "examples:\n  flowc explain model.py\n  flowc explain model.py:loss\n" + MODEL_TEXT,
    )  # fmt: skip
    _model_arguments(explain)
    explain.set_defaults(do=do_explain)

    bench = command(
        "bench", "measure a program kernel by kernel: time, GB/s, GFLOP/s, and how close that is to what this machine can do",
        "examples:\n  flowc bench model.py                      the slowest kernel first\n"
        "  flowc bench model.py:loss --runs 50       more runs, steadier medians\n"
        "  flowc bench model.py --extent b=1000      with another batch than the script feeds\n"
        "  flowc bench model.py --json kernels.json  the same figures for a program\n"
        "\nEach kernel runs alone, in turn with the others and with the whole step, on copies of what the run is fed and of the variables'\n"
        "initial values; placeholders that no run feeds get numbers between 0 and 1. FLOP counts a multiply-add twice and every other function\n"
        "of floats once; bytes count each element that a kernel touches once. The limit is measured too: a triad over as many bytes, and a\n"
        "product within the innermost cache.\n" + MODEL_TEXT,
    )  # fmt: skip
    _model_arguments(bench)
    bench.add_argument("--runs", metavar="N", type=_positive, default=20, help="measurements of each kernel, whose median counts (20)")
    bench.add_argument("--threads", metavar="N", type=_positive, help="threads that a run may take, as FLOWC_THREADS; small programs take one")
    bench.add_argument("--extent", metavar="NAME=N", type=_extent, action="append", default=[], help="the size of an extent that a placeholder leaves open")
    bench.add_argument("--sort", choices=("time", "flops", "bytes"), default="time", help="what there is most of comes first; by default time")
    bench.add_argument("--json", metavar="FILE", help="write the figures into a file, too: seconds, bytes, operations")
    bench.set_defaults(do=do_bench)

    data = command("data", "write bundled data", "example:\n  flowc data digits /tmp/data")
    sets = data.add_subparsers(dest="set", metavar="SET", required=True, title="data sets")
    digits = sets.add_parser("digits", help="the bundled real digits as the four IDX files that MNIST programs read, 28 x 28")
    digits.add_argument("directory", metavar="DIR", help="the folder; made where it is not there")
    digits.set_defaults(do=do_digits)

    cache = command("cache", "look at the cache of compiled programs, or empty it", "examples:\n  flowc cache info\n  flowc cache clear")
    cache.add_argument("action", choices=("info", "clear"), help="what to do")
    cache.set_defaults(do=do_cache)
    return root


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a positive whole number is expected, not {text!r}")
    return int(text)


def _extent(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name.isidentifier() or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"a name and a positive whole number are expected, b=128, not {text!r}")
    return name, int(number)


def _model_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL.py[:NAME]", help=MODEL_HELP)
    command.add_argument("args", metavar="ARGS", nargs="*", help="the script's arguments; those that start with a dash come after --")
    command.add_argument("--whole", action="store_true", help="run the script to its end, training included")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0, or 2 for bad input, or what the script of `flowc run` ends with."""
    from flowc.cli.subject import InputError
    from flowc.config import settings
    from flowc.errors import FlowcError

    root = parser()
    given = list(sys.argv[1:] if argv is None else argv)
    ours, own = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given and given[0] != "run" else (given, [])
    options, rest = root.parse_known_args(ours)
    if rest or own:
        if not hasattr(options, "whole") or any(text.startswith("-") for text in rest):
            root.error(f"unrecognized arguments: {' '.join(rest or own)}")
        options.args += [*rest, *own]  # the script's arguments, after an option of ours
    if options.version:
        print(version_text())
        return 0
    if options.command is None:
        root.print_help(sys.stderr)
        return 2
    try:
        settings()
    except ValueError as error:  # of the environment's variables
        print(f"flowc: {error}", file=sys.stderr)
        return 2
    try:
        return int(options.do(options))
    except InputError as error:
        print(f"flowc {options.command}: {error}", file=sys.stderr)
        return 2
    except FlowcError as error:
        print(f"flowc {options.command}: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        print(f"flowc {options.command}: interrupted", file=sys.stderr)
        return 130


def version_text() -> str:
    from importlib.metadata import version

    from flowc import __version__

    rest = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite"))
    return f"flowc {__version__} (Python {sys.version.split()[0]}, {rest})"


def do_run(options: argparse.Namespace) -> int:
    from flowc.tensorflow.script import run_script

    return run_script(options.script, options.args)


def do_ir(options: argparse.Namespace) -> int:
    from flowc.cli.model import subjects
    from flowc.cli.show import check_diff, check_request, coloured, diff_text, text_of

    if options.diff is not None:
        check_diff(options.diff, options.after)
        texts = [diff_text(subject, options.diff) for subject in subjects(options.model, options.args, options.whole)]
        print("\n".join(coloured(texts) if colours() else texts), end="")
        return 0
    level = check_request(options.level, options.after)
    texts = [text_of(subject, level, options.after) for subject in subjects(options.model, options.args, options.whole)]
    print("\n".join(texts), end="")
    return 0


def colours() -> bool:
    """Whether what is printed may have colours: on a terminal, unless the user says otherwise (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def do_explain(options: argparse.Namespace) -> int:
    from flowc.cli.model import subjects
    from flowc.cli.show import explain

    print("\n".join(explain(subject) for subject in subjects(options.model, options.args, options.whole)), end="")
    return 0


def do_bench(options: argparse.Namespace) -> int:
    from flowc import config
    from flowc.cli.bench import bench, check
    from flowc.cli.model import subjects
    from flowc.cli.subject import InputError
    from flowc.runtime.profile import report, write

    check(options.json)
    measured = []
    with config.override(threads=options.threads or config.settings().threads):
        for subject in subjects(options.model, options.args, options.whole):
            measured.append(bench(subject, dict(options.extent), options.runs))
            print("\n" * (len(measured) > 1) + report(*measured[-1], options.sort), end="", flush=True)
    if options.json is not None:
        try:
            write(options.json, options.model, measured)
        except OSError as error:
            raise InputError(f"{options.json} cannot be written: {error.strerror}") from None
    return 0


def do_viz(options: argparse.Namespace) -> int:
    from flowc.cli.viz import draw

    print(draw(options), end="")
    return 0


def do_digits(options: argparse.Namespace) -> int:
    from flowc.cli.subject import InputError
    from flowc.data.digits import main_digits

    said: list[str] = []
    if main_digits(options.directory, said.append) != 0:
        raise InputError("; ".join(said).removeprefix("flowc data digits: "))
    print("\n".join(said))
    return 0


def do_cache(options: argparse.Namespace) -> int:
    from flowc.codegen.cache import cache_clear, cache_info

    info = cache_info()
    if options.action == "clear":
        count = cache_clear()
        print(f"{info.folder}: {count} compiled program{'' if count == 1 else 's'} removed")
    else:
        print(f"folder    {info.folder}\nprograms  {info.programs}\nsize      {info.bytes / 1e6:.1f} MB")
    return 0
