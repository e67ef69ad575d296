"""``prepare-potsdam``, ``curate`` and ``mosaic``: tools for published data sets."""

from collections.abc import Sequence
from pathlib import Path

from commands import program
from commands.parsing import Parser
from commands.starting import quiet_start
from iic_tf.errors import UserError, require


def prepare_potsdam(words: Sequence[str]) -> int:
    """``prepare-potsdam RAW FOLDER``: cuts the raw images of Potsdam into tiles.

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
    from iic_tf.datasets import potsdam
    from iic_tf.report.console import console, counted

    with counted("cutting images") as progress:
        counts = potsdam.prepare(
            arguments.raw, arguments.out, seed=arguments.seed, progress=progress
        )
    told = ", ".join(f"{number:,} {split}" for split, number in counts.items())
    console.print(f"Tiles in {arguments.out}: {told}")
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
