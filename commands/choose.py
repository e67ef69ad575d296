"""``choose-k``: how many clusters, from the neighbour graph or from a trained run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from commands import program
from commands.evaluate import PLACES
from commands.loading import Loaded, load, task_of
from commands.parsing import Parser, parse, parse_words
from commands.starting import check_backend, quiet_start
from iic_tf.errors import require
from iic_tf.options import Options
from iic_tf.run_folder import OPTIONS_FILE, find_run, make_run_folder, read_options

LEAST, MOST = 2, 30
"""Numbers of clusters that are looked at where nothing is said."""

FEWEST = 3
"""Numbers that are compared at least: a peak needs one on each side."""

DESCRIPTION = """Says how many clusters there are, and how sure that is, without labels.
Of a finished run (choose-k RUN) the overclusters are merged into every number of
clusters. Of images, given by the options of the main job without --k, a network is
trained first, or, with --method spectral, the neighbour graph alone is looked at, which
takes a minute at most. For each number there is mutual information as a share of ln k
and how well cuts that should be the same agree. choose_k.csv and choose_k.png are
written into the folder of the run."""


def choice_parser() -> Parser:
    """The parser of the command's own options; others are those of the main job."""
    parser = Parser(
        prog=f"{program()} choose-k", description=DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument("--from", dest="least", type=int, default=LEAST)
    parser.add_argument("--to", dest="most", type=int)
    return parser


def choose_k(words: Sequence[str]) -> int:
    """``choose-k [RUN] [--from 2] [--to 30] [options]``: recommends a number.

    Args:
        words: A run, or options of the main job that say where images are.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    arguments, others = choice_parser().parse_known_args(list(words))
    least, most = arguments.least, arguments.most
    require(least >= 2, "--from must be at least 2", **{"from": least})
    require(
        most is None or most >= least + FEWEST - 1,
        f"--to must be at least --from + {FEWEST - 1}, since a number is compared with "
        "those beside it",
        to=most,
        **{"from": least},
    )
    named = {word.partition("=")[0] for word in others}
    require(
        not named & {"--k", "--resume", "--seeds", "--show-pairs"},
        "choose-k finds k; it takes no --k, --resume, --seeds or --show-pairs",
        words=others,
    )
    if others and not others[0].startswith("-"):
        return _of_run(others[0], others[1:], least=least, most=most)
    asked = replace(parse(others), k="auto")
    require(
        task_of(asked) == "cluster",
        "choose-k is for whole images that are clustered",
        task=task_of(asked),
    )
    if asked.method == "spectral":
        return _quickly(asked, least=least, most=most)
    from commands.train import run

    folders: list[Path] = []
    done = run(
        asked,
        began=folders.append,
        look=(least, most),
        least_k_aux=2 * (most or MOST),
    )
    if done or not folders:
        return done
    return _of_run(str(folders[0]), [], least=least, most=most)


def _checked_most(most: int | None, *, least: int, limit: int, by: str) -> int:
    """The most clusters that are looked at.

    Args:
        most: As asked for, or None.
        least: The fewest.
        limit: What there can be.
        by: What sets the limit, as text.
    """
    require(
        limit >= LEAST + FEWEST - 1,
        f"choose-k needs more to go by: {by} it can compare up to {limit} clusters",
        fewest=LEAST + FEWEST - 1,
    )
    require(
        (most or least + FEWEST - 1) <= limit,
        f"choose-k can look at up to {limit} clusters, {by}; --to must not be more, "
        f"and --from at least {FEWEST - 1} less",
        to=most,
        **{"from": least},
    )
    return most or min(MOST, limit)


def quick_advice(
    loaded: Loaded, *, least: int = LEAST, most: int | None = None
) -> tuple[Any, Any]:
    """Evidence from the neighbour graph of a run's images, and what it advises.

    Args:
        loaded: The run; of more than some thousands of images some are looked at.
        least: Fewest clusters.
        most: Most clusters; if None 30, or what the images allow.
    """
    from iic_tf.datasets.splits import evenly
    from iic_tf.evaluation.choosing import advise
    from iic_tf.report.console import at_work
    from iic_tf.tasks.choose import MAX_LOOKED, from_graph, most_from_graph

    task, seed = loaded.task, loaded.asked.seed
    number = len(task.images)
    limit = most_from_graph(number)
    most = _checked_most(most, least=least, limit=limit, by=f"with {number:,} images")
    if number > MAX_LOOKED:
        looked = evenly(task.protocol.train, MAX_LOOKED)
        protocol = replace(task.protocol, train=looked)
        task = replace(task, protocol=protocol, nearest=None)
    with at_work("cutting the neighbour graph"):
        evidence = from_graph(
            lambda neighbours: task.neighbours(neighbours, seed=seed),
            least=least,
            most=most,
            seed=seed,
        )
    return evidence, advise(evidence)


def _quickly(asked: Options, *, least: int, most: int | None) -> int:
    """By the neighbour graph alone."""
    check_backend()
    with quiet_start():
        from iic_tf.report.choosing import OF_GRAPH
        from iic_tf.training.run import run_prefix

    loaded = load(asked)
    evidence, advice = quick_advice(loaded, least=least, most=most)
    options = replace(loaded, asked=replace(asked, k=advice.k)).options
    folder = make_run_folder(
        Path(options.out), name=options.name, prefix=run_prefix(options)
    )
    _tell(folder, evidence, advice, OF_GRAPH)
    return 0


def _of_run(run: str, words: Sequence[str], *, least: int, most: int | None) -> int:
    """By the overclusters of a finished run."""
    known = {f"--data.{place}" for place in PLACES}
    given = [word for word in words if word.startswith("-")]
    unknown = [word for word in given if word.partition("=")[0] not in known]
    require(
        not unknown and (not words or words[0].startswith("-")),
        "choose-k takes of a run only --from, --to and where the images are",
        words=unknown or list(words),
    )
    folder = find_run(run, out=Path(Options().out), what="choose-k")
    stored = read_options(folder / OPTIONS_FILE)
    if words:
        stored["data"] = (stored.get("data") or {}) | dict.fromkeys(PLACES)
    asked = parse_words(words, over=stored)
    require(
        task_of(asked) == "cluster",
        "choose-k needs a run that clusters whole images",
        task=task_of(asked),
    )
    check_backend()
    with quiet_start():
        from iic_tf.evaluation.choosing import advise
        from iic_tf.report.choosing import OF_NETWORK
        from iic_tf.report.console import at_work
        from iic_tf.tasks.choose import from_network
        from iic_tf.training.stored import load_model

    model = load_model(folder)
    heads = 0 if model.aux is None else model.aux.num_heads
    require(
        heads >= 2,
        "choose-k compares auxiliary sub-heads, of which the run must have two",
        auxiliary_sub_heads=heads,
    )
    limit = model.aux.num_clusters
    checked = _checked_most(
        most, least=least, limit=limit, by="as many as a sub-head has overclusters"
    )
    if most is None:  # nearly as many as overclusters would be hardly merged
        checked = max(min(checked, limit // 2), min(least + FEWEST - 1, limit))
    loaded = load(asked, train=False)
    loaded.task.check_takes(model)
    with at_work("cutting the merge trees"):
        evidence = from_network(
            model,
            loaded.task.images,
            loaded.task.views,
            least=least,
            most=checked,
            seed=asked.seed,
        )
    _tell(folder, evidence, advise(evidence), OF_NETWORK)
    return 0


def _tell(folder: Path, evidence: Any, advice: Any, terms: Any) -> None:
    """Prints table and recommendation, writes and draws them."""
    from iic_tf.report.choosing import (
        CHOICE_PLOT,
        CHOICE_TABLE,
        advice_words,
        choice_lines,
        draw_choice,
        write_choice,
    )
    from iic_tf.report.console import attempted, console

    console.print()
    for i, line in enumerate(choice_lines(evidence, advice)):
        console.print(line, style="bold" if i == 0 else None)
    console.print(f"\n{advice_words(evidence, advice, terms)}")
    write_choice(folder / CHOICE_TABLE, evidence, advice)
    with attempted(CHOICE_PLOT):
        draw_choice(
            folder / CHOICE_PLOT, evidence, advice, terms, title=folder.resolve().name
        )
    console.print(f"\n{CHOICE_TABLE} and {CHOICE_PLOT} in {folder}")
