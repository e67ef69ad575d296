"""Several runs in one command, which differ in their seed."""

from dataclasses import replace
from pathlib import Path

from commands import EXIT_DEGENERATE, EXIT_FAILED, EXIT_INTERRUPTED, typed
from commands.starting import check_backend, quiet_start
from iic_tf.errors import RunError, UserError, failure_words, require
from iic_tf.options import Options
from iic_tf.run_folder import OPTIONS_FILE, read_options


def run_seeds(asked: Options) -> int:
    """Trains a run for each seed, then prints and writes a table of all.

    A seed that fails is told and left out; the others go on.

    Args:
        asked: Options as given, with ``seeds``.

    Returns:
        Exit status: that of an interruption, else of a failure, else of degenerate
        runs if all are.

    Raises:
        UserError: For a mistake in the options or the data, which the first run finds.
    """
    require(
        not asked.show_pairs and asked.method == "iic",
        "seeds is for training, not for --show-pairs or method spectral",
        seeds=asked.seeds,
    )
    check_backend()
    with quiet_start():
        import keras

        from commands.train import run
        from iic_tf.distribute import choose_strategy
        from iic_tf.report.console import console

        strategy = choose_strategy(asked.devices)
    seeds = asked.seeds_of_runs()
    folders: list[Path] = []
    finished: list[Path] = []
    failed: list[tuple[int, str]] = []
    statuses: list[int] = []
    for i, seed in enumerate(seeds):
        console.print(
            f"{chr(10) * bool(i)}Seed:     {seed}, run {i + 1} of {len(seeds)}"
        )
        name = None if asked.name is None else f"{asked.name}-{seed}"
        one = replace(asked, seed=seed, seeds=None, name=name)
        before = len(folders)
        try:
            status = run(one, began=folders.append, strategy=strategy)
        except KeyboardInterrupt:
            status = EXIT_INTERRUPTED
        except Exception as error:
            if isinstance(error, UserError) and not i:
                raise
            known = isinstance(error, UserError | RunError | ArithmeticError)
            words = str(error) if known else failure_words(error)
            if words is None:
                raise
            console.print(f"Failed:   seed {seed}: {words}")
            failed.append((seed, words))
            continue
        statuses.append(status)
        if status == EXIT_INTERRUPTED:
            left = seeds[i + 1 :]
            failed += [(seed, "interrupted"), *((s, "not begun") for s in left)]
            if left:
                console.print(
                    f"Not begun: seeds {', '.join(map(str, left))}; train them with "
                    f'--seeds "{left}"'
                )
            break
        finished += folders[before:]
        if asked.k == "auto" and finished:  # all runs have the k of the first
            asked = replace(asked, k=int(read_options(finished[0] / OPTIONS_FILE)["k"]))
        keras.utils.clear_session()
    _tell(Path(asked.out), finished, failed)
    if EXIT_INTERRUPTED in statuses:
        return EXIT_INTERRUPTED
    if failed:
        return EXIT_FAILED
    return EXIT_DEGENERATE if set(statuses) == {EXIT_DEGENERATE} else 0


def _tell(out: Path, finished: list[Path], failed: list[tuple[int, str]]) -> None:
    """Prints and writes the table, and says how it is made again."""
    from iic_tf.report.console import console
    from iic_tf.training.seeds import SEEDS_FILE, seed_lines, seed_results, write_seeds

    if not finished:
        return
    results = seed_results(finished)
    header, *lines = seed_lines(results)
    console.print(f"\n{header}", style="bold")
    for line in lines:
        console.print(line)
    for seed, words in failed:
        console.print(f"Seed {seed}: {words}")
    name = SEEDS_FILE.format(first=finished[0].name)
    write_seeds(out / name, results, failed)
    runs = " ".join(map(str, finished))
    console.print(
        f"\nTable:    {out / name}; to see it again: {typed()} compare {runs}"
    )
