"""``prepare``: sets up published data sets. ``curate`` and ``mosaic`` are its tools."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands import program, typed
from commands.parsing import Parser
from commands.starting import quiet_start
from iic_tf.errors import UserError, naming, require, require_known

if TYPE_CHECKING:
    from iic_tf.datasets.distributions import Checked, Distribution, File

NEXT = {
    "mnist": (),
    "fashion-mnist": ("--config", "configs/fashion_mnist.yaml"),
    "cifar10": ("--config", "configs/cifar10.yaml"),
    "cifar100": ("--config", "configs/cifar100_20.yaml"),
    "stl10": ("--config", "configs/stl10.yaml"),
    "celeba": ("--config", "configs/celeba_autoencode_resnet.yaml"),
    "coco-stuff": ("--config", "configs/coco_stuff_3_555.yaml"),
    "potsdam": ("--config", "configs/potsdam_3_545.yaml"),
}
"""What trains on each data set, but for where it is."""


def prepare(words: Sequence[str]) -> int:
    """``prepare NAME FOLDER``: downloads, unpacks and checks a published data set.

    Args:
        words: Name and folder, and options; or ``curate`` or ``mosaic`` and what these
            take.

    Raises:
        UserError: For a mistake in the options, or if files cannot be had or are not
            those that were published.
    """
    tools = {"curate": curate, "mosaic": mosaic}
    if words and words[0] in tools:
        return tools[words[0]](words[1:])
    parser = Parser(
        prog=f"{program()} prepare",
        description="Sets up a published data set: downloads what can be had without "
        "registration, unpacks it, checks it and says what to run next. What is there "
        "already is not downloaded again. Also: prepare curate ROOT --name NAME, "
        "prepare mosaic LABELS OUT.",
    )
    parser.add_argument("name", help=", ".join(NEXT))
    parser.add_argument("folder", type=Path, help="where it belongs, for --data.dir")
    parser.add_argument(
        "--from",
        dest="raw",
        type=Path,
        help="folder with files that you have; of Potsdam the raw images, which are "
        "cut into tiles",
    )
    parser.add_argument(
        "--check", action="store_true", help="only look at what is there"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="selects Potsdam's test tiles when cutting"
    )
    arguments = parser.parse_args(list(words))
    name, raw = arguments.name.replace("_", "-"), arguments.raw
    require_known(NEXT, "prepare needs the name of a data set", name=name)
    require(
        raw is None or raw.is_dir(),
        "--from must be an existing folder",
        folder=str(raw),
    )
    require(not (arguments.check and raw), "--check takes no --from", folder=str(raw))
    from iic_tf.datasets.distributions import DISTRIBUTIONS
    from iic_tf.report.console import console

    folder = arguments.folder.expanduser()
    distribution = DISTRIBUTIONS[name]
    looked = _look(distribution, folder) if folder.is_dir() else None
    if not arguments.check and (looked is None or looked.problems):
        if name == "potsdam" and raw and (raw / "4_Ortho_RGBIR").is_dir():
            _cut_tiles(raw, folder, seed=arguments.seed)
        else:
            _obtain(distribution, folder, raw)
        looked = _look(distribution, folder)
    if looked is None:
        raise UserError(f"--check needs an existing folder. Received: {str(folder)!r}")
    _tell(looked, distribution, folder)
    run = [*NEXT[name], "--data.dir", str(folder)]
    console.print(f"Next:     {typed()} {shlex.join(run)}")
    return 0


def _look(of: "Distribution", folder: Path) -> "Checked":
    from iic_tf.report.console import at_work

    with at_work("checking"):
        return of.check(of, folder)


def _obtain(of: "Distribution", folder: Path, raw: Path | None) -> None:
    """Downloads and unpacks whatever a folder lacks.

    Args:
        of: The data set.
        folder: Where it belongs.
        raw: Where else files may be, or None.
    """
    from iic_tf.report.console import console

    lacking = [file for file in of.files if not file.is_there(folder)]
    places = [folder, *([raw] if raw else [])]
    here = {
        file.name: place / file.name
        for place in reversed(places)
        for file in lacking
        if (place / file.name).is_file()
    }
    wanted = [file for file in lacking if file.name not in here]
    by_hand = [file.name for file in wanted if file.url is None]
    require(
        not by_hand,
        f"{of.title} is not downloaded here, as its authors ask for consent to their "
        f"terms: get the files from {of.page}, put them into {folder} (or say --from "
        "where they are) and run the same command again",
        files=by_hand,
    )
    for file in wanted:
        size = "size not on record" if file.size is None else f"{file.size:,} bytes"
        console.print(f"Needed:   {file.name}, {size}, from {file.url}")
    for file in lacking:
        path = here.get(file.name) or _download(file, folder)
        _put(file, path, folder, downloaded=file in wanted)


def _download(file: "File", folder: Path) -> Path:
    """Downloads a file into a folder.

    Returns:
        The file.

    Raises:
        UserError: If that fails, saying what to do by hand.
    """
    from iic_tf.datasets.downloads import download
    from iic_tf.report.console import counted

    path, url = folder / file.name, file.url or ""
    try:
        with counted(f"downloading {file.name}, MB") as progress:
            download(url, path, size=file.size, sha256=file.sha256, progress=progress)
    except UserError as error:
        raise UserError(
            f"{file.name} could not be downloaded ({error}); get it from {url} by "
            f"other means, put it into {folder} and run the same command again"
        ) from None
    return path


def _put(file: "File", path: Path, folder: Path, *, downloaded: bool) -> None:
    """Unpacks or copies a file to where it belongs; says if it is not as published."""
    from iic_tf.datasets.downloads import unpack, verify
    from iic_tf.report.console import console, counted

    if not downloaded:  # may be packed anew, so what is in it decides
        try:
            verify(path, size=file.size, sha256=file.sha256)
        except UserError as error:
            console.print(f"Note:     {error}")
    place = folder / file.into
    if file.is_archive:
        with counted(f"unpacking {file.name}, MB") as progress:
            unpack(path, place, file.gives, progress=progress)
        console.print(f"Unpacked: {path}, which is no longer needed")
    elif path.parent != place:
        place.mkdir(parents=True, exist_ok=True)
        part = place / f"{file.name}.part"
        with naming(part):
            shutil.copyfile(path, part)
            part.replace(place / file.name)


def _tell(looked: "Checked", of: "Distribution", folder: Path) -> None:
    """Prints what a folder has.

    Raises:
        UserError: If it is not what was published.
    """
    from iic_tf.report.console import console

    for title, lines in (("Checked:", looked.found), ("Wrong:", looked.problems)):
        for i, line in enumerate(lines):
            console.print(f"{'' if i else title:10}{line}")
    require(
        not looked.problems,
        f"{folder} does not hold {of.title} as published, see the lines above; what "
        f"must be there is in docs/data_sets.md and at {of.page}",
        problems=len(looked.problems),
    )


def _cut_tiles(raw: Path, folder: Path, *, seed: int) -> None:
    from iic_tf.datasets import potsdam
    from iic_tf.report.console import console, counted

    with counted("cutting images") as progress:
        counts = potsdam.prepare(raw, folder, seed=seed, progress=progress)
    told = ", ".join(f"{number:,} {split}" for split, number in counts.items())
    console.print(f"Tiles in {folder}: {told}")


def prepare_potsdam(words: Sequence[str]) -> int:
    """``prepare-potsdam RAW FOLDER``: ``prepare potsdam FOLDER --from RAW``, unchecked.

    Args:
        words: The two folders, and options.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    parser = Parser(
        prog=f"{program()} prepare-potsdam",
        description="Cuts ISPRS Potsdam into tiles of 200x200 pixels, as published.",
    )
    parser.add_argument(
        "raw", type=Path, help="folder of the data set (RGBIR and labels)"
    )
    parser.add_argument("out", type=Path, help="folder to create")
    parser.add_argument("--seed", type=int, default=0, help="selects the test tiles")
    arguments = parser.parse_args(list(words))
    _cut_tiles(arguments.raw, arguments.out, seed=arguments.seed)
    return 0


def curate(words: Sequence[str]) -> int:
    """``curate ROOT``: lists the images of COCO-Stuff that the curation rule keeps.

    Args:
        words: The folder, and options.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    parser = Parser(
        prog=f"{program()} curate",
        description="Lists the images of COCO-Stuff 164k whose sides have at least "
        "360 pixels, at least three quarters of which are of the chosen classes.",
    )
    parser.add_argument("root", type=Path, help="folder with images and annotations")
    parser.add_argument(
        "--classes", default="full", help="set of classes, such as few or full"
    )
    parser.add_argument(
        "--name", required=True, help="name of the lists, for --data.curated NAME"
    )
    arguments = parser.parse_args(list(words))
    require(
        not set(arguments.name) & set("/\\\0") and arguments.name not in ("", ".."),
        "--name must be a name without folders",
        name=arguments.name,
    )
    from iic_tf.datasets import coco_stuff
    from iic_tf.report.console import console, counted

    lists = {
        split: arguments.root / "curated" / split / f"{arguments.name}.txt"
        for split in ("train2017", "val2017")
    }
    there = [str(path) for path in lists.values() if path.exists()]
    require(not there, "the lists must not exist; choose another --name", lists=there)
    items = {split: coco_stuff.list_164k(arguments.root, split) for split in lists}
    found = {}
    for split, some in items.items():
        with counted(f"checking {split}") as progress:
            found[split] = coco_stuff.curate(
                some, kind=arguments.classes, progress=progress
            )
    for split, path in lists.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in found[split]))
        told = f"{len(found[split]):,} of {len(items[split]):,} images"
        console.print(f"{path}: {told}")
    return 0


def mosaic(words: Sequence[str]) -> int:
    """``mosaic LABELS OUT``: joins the label maps of tiles into those of whole images.

    Args:
        words: The folder of a run's labels, and the folder to write to.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    parser = Parser(
        prog=f"{program()} mosaic",
        description="Joins label maps of tiles that are named IMAGE_ROW_COLUMN.",
    )
    parser.add_argument("labels", type=Path, help="such as runs/potsdam_3-1/labels")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument(
        "--border",
        type=int,
        default=1,
        help="pixels along the sides of each tile that are replaced by the next ones "
        "inward: 1 (default) for network_10a, which predicts nothing there; 0 for "
        "small_segment",
    )
    arguments = parser.parse_args(list(words))
    require(
        arguments.border >= 0, "--border must be at least 0", border=arguments.border
    )
    with quiet_start():
        from iic_tf.report.files import write_label_map
    from iic_tf.datasets import potsdam
    from iic_tf.datasets.masks import IGNORE, decode_labels
    from iic_tf.report.console import console

    files = sorted(arguments.labels.glob("*.png"))
    require(
        bool(files),
        "the folder must hold label maps (PNG)",
        labels=str(arguments.labels),
    )
    try:
        tiles = {path.stem: decode_labels(path) for path in files}
    except ValueError as error:
        raise UserError(f"{arguments.labels} must hold label maps: {error}") from None
    number = max(int(tile.max()) for tile in tiles.values()) + 1
    joined = potsdam.join_tiles(tiles, missing=IGNORE, border=arguments.border)
    for name, whole in joined.items():
        path = arguments.out / f"{name}.png"
        write_label_map(path, whole, number)
        console.print(f"{path}: {whole.shape[1]}×{whole.shape[0]} pixels")
    return 0
