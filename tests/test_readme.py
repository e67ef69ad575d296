"""What the README and docs/ say can be done, can be done."""

import argparse
import re
import runpy
import shlex
import subprocess
import sys
from functools import cache
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from runs import words
from test_capabilities import FREE, known_options

import data
import graphs
import models_iic
from commands.choose import choice_parser
from commands.evaluate import _sorting
from commands.loading import task_of, usual_graph
from iic_tf.datasets.masks import find_items
from iic_tf.errors import UserError
from iic_tf.options import DataOptions, check_arguments

if sys.version_info >= (3, 11):
    import tomllib
else:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))
}
CAPABILITIES = "docs/capabilities.md"


def bash_lines(page):
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


BASH = bash_lines(README)
COMMANDS = sorted({line for page in PAGES.values() for line in bash_lines(page)})

RUN_IN_SHORT = {
    "test_site.py::site": ["mkdocs build --strict"],
    ".ci/run": [
        "pip install -r requirements.txt && python models_iic.py",
        'pip install -e ".[dev]" && python -m pytest',
    ],
    "test_readme.py::test_the_photographs_come_with_a_package": [
        """IMAGES=$(python -c "import sklearn.datasets as d; """
        """print(d.__path__[0] + '/images')")""",
    ],
    "test_readme.py::test_the_backbone_in_ten_lines_works": [
        "python models_iic.py --graph.name tiny --graph.args.filters 16",
    ],
    "test_models_iic.py::test_a_folder_of_anyones_images": [
        "python models_iic.py --data.folder PHOTOS --k 12",
    ],
    "test_models_iic.py::test_vectors_and_series_are_clustered": [
        "python models_iic.py --data.features vectors.npy --k 10",
        "python models_iic.py --data.series series.npy --data.labels classes.npy --k 6",
    ],
    "test_frozen.py::test_a_quick_look_and_a_network_of_ones_own": [
        "python models_iic.py --data.folder PHOTOS --k 8 --graph.frozen true "
        "--graph.args.weights network.keras",
    ],
    "test_models_iic.py::test_a_stored_run_is_evaluated_again_and_on_other_images": [
        "python models_iic.py evaluate RUN --report.adapt true",
    ],
    "test_classify.py::test_a_run_learns_classes_and_can_be_evaluated": [
        "python models_iic.py predict runs/PHOTOS-1 NEW_PHOTOS",
        "python models_iic.py --task classify --data.dir FOLDER",
    ],
    "test_name_command.py::test_with_many_labels_half_is_held_back_for_a_score": [
        "python models_iic.py name runs/PHOTOS-1 --labels labels.csv",
    ],
    "test_merge_command.py::test_joined_clusters_are_written_and_modelled": [
        "python models_iic.py merge runs/PHOTOS-1 3+7 2+5 --rename 3=cats",
        "python models_iic.py name runs/PHOTOS-1 --names names.json",
    ],
    "test_sorting.py::test_a_folder_is_sorted_by_clusters_and_by_their_names": [
        "python models_iic.py predict runs/PHOTOS-1 NEW_PHOTOS --into SORTED",
        "python models_iic.py predict runs/PHOTOS-1 a.jpg b.jpg MORE --into SORTED "
        "--copy",
    ],
    "test_sorting.py::test_unsure_images_have_a_folder_of_their_own": [
        "python models_iic.py predict runs/PHOTOS-1 NEW_PHOTOS --into SORTED --unsure "
        "--report.unsure 0.7",
    ],
    "test_calibrate.py::test_the_benchmark_tells_errors_before_and_after": [
        "python benchmarks/calibration.py RUN --rules",
    ],
    "test_benchmarks.py::test_mistakes_and_the_neighbours_of_who_makes_them": [
        "python benchmarks/mistakes.py RUN",
    ],
    "test_export.py::test_a_model_in_a_fresh_process_without_this_package": [
        "python models_iic.py export runs/PHOTOS-1",
    ],
    "test_export.py::test_onnx_gives_the_same": [
        "python models_iic.py export runs/PHOTOS-1 --to DEPLOYED --format savedmodel "
        "onnx",
    ],
    "test_report_command.py::test_a_run_is_reported_on": [
        "python models_iic.py report runs/PHOTOS-1",
    ],
    "test_models_iic.py::test_runs_are_compared": [
        "python models_iic.py compare runs/PHOTOS-1 runs/PHOTOS-2",
    ],
    "test_name_command.py::"
    "test_labels_are_asked_for_and_name_clusters_round_after_round": [
        "python models_iic.py name runs/mnist_5000-1",
        "python models_iic.py name runs/mnist_5000-1 --labels "
        "runs/mnist_5000-1/named/label_next*.csv",
    ],
    "test_label_fraction.py::test_a_stored_run": [
        "python benchmarks/label_fraction.py RUN",
    ],
    "test_label_fraction.py::test_the_tutorial_maps_and_scores_on_the_same_images": [
        "python benchmarks/label_fraction.py RUN --weak",
    ],
    "test_models_iic.py::test_pairs_are_drawn_without_training": [
        "python models_iic.py --show-pairs",
        "python models_iic.py --show-pairs --data.augment.rotation 15",
        "python models_iic.py --show-pairs --data.recipe mnist_published",
    ],
    "test_models_iic.py::test_help_answers_without_tensorflow": [
        "python models_iic.py --help",
    ],
    "test_models_iic.py::test_print_config_can_be_read_back": [
        "python models_iic.py --print_config",
    ],
    "test_models_iic.py::test_defaults_then_yaml_then_command_line": [
        "python models_iic.py --config configs/mnist.yaml --seed 3 --train.steps 600",
    ],
    "test_models_iic.py::test_the_published_recipe_and_alternating_heads": [
        'python models_iic.py --train.order "[aux,main,main]" --train.lamb 1.2',
    ],
    "test_models_iic.py::test_a_degenerate_run_says_so_and_exits_3": [
        "python models_iic.py --train.learning_rate 1e-6 --train.lamb 3 "
        "--train.steps 600 --report.every 50 --data.neighbours 0 --train.regroup_to 0",
    ],
    "test_segment.py::test_a_run_with_label_maps": [
        "python models_iic.py --data.images IMAGES --k 3",
        "python models_iic.py --data.images IMAGES --data.masks MASKS --k 3",
    ],
    "test_segment.py::test_new_pictures_are_labelled_by_a_stored_run": [
        "python models_iic.py predict runs/STREETS-1 NEW_STREETS",
    ],
    "test_prepare.py::test_stl10_is_downloaded_unpacked_checked_and_read": [
        "python models_iic.py prepare stl10 FOLDER",
    ],
    "test_prepare.py::test_a_folder_is_only_checked": [
        "python models_iic.py prepare stl10 FOLDER --check",
    ],
    "test_prepare.py::test_celeba_from_its_two_files": [
        "python models_iic.py prepare celeba FOLDER --from HAVE",
    ],
    "test_prepare.py::test_coco_stuff_from_a_server_with_its_lists": [
        "python models_iic.py prepare coco-stuff FOLDER",
        "python models_iic.py prepare curate FOLDER --classes full --name NAME",
    ],
    "test_prepare.py::test_potsdam_is_cut_or_unpacked": [
        "python models_iic.py prepare potsdam FOLDER --from RAW",
    ],
    "test_segment.py::test_label_maps_of_tiles_are_joined": [
        "python models_iic.py prepare mosaic runs/potsdam_3-1/labels FOLDER",
    ],
    "test_segment.py::test_k_means_on_the_same_pixels": [
        "python benchmarks/kmeans_maps.py --images IMAGES --masks LABELS --k 3 "
        '--merge "[0,1,1,2,2,1,1,1,255,255,255,255]"',
    ],
    "test_tokens.py::test_every_kind_builds_runs_trains_and_can_be_saved": [
        "python models_iic.py --graph.name tokens "
        '--graph.args.layers "[32, 32, M, 64, M, 128, M]"',
    ],
    "test_finetune.py::test_a_run_is_fine_tuned_and_goes_on_under_another_name": [
        "python models_iic.py --task finetune --tune.run runs/mnist-1 "
        "--tune.labels 100",
    ],
    "test_from_pytorch.py::test_a_checkpoint_becomes_a_run_that_is_evaluated": [
        "python models_iic.py import-pytorch best_net.pytorch "
        "--config configs/mnist_685.yaml --name published",
    ],
    "test_classify.py::test_a_folder_with_two_splits_is_enough": [
        "python models_iic.py --task classify --data.folder PHOTOS "
        "--data.labels folder",
    ],
    "test_autoencode.py::test_a_test_split_is_held_out_where_there_is_one": [
        "python models_iic.py --task autoencode --data.folder PHOTOS",
    ],
    "test_autoencode.py::test_a_run_gives_images_back_and_can_be_evaluated": [
        "python models_iic.py evaluate RUN --print-only",
    ],
    "test_distortions.py::test_one_view_or_both_are_bent": [
        "python models_iic.py --show-pairs --data.recipe mnist_tps",
        "python models_iic.py --show-pairs --data.recipe cifar10_tps "
        "--data.augment.padding zero --data.augment.views 2",
        "python models_iic.py --show-pairs --data.recipe mnist_tutorial",
    ],
    "test_optimizers.py::test_options_from_yaml_and_command_line": [
        "python models_iic.py --train.optimizer SGD --train.optimizer_args.momentum "
        "0.9 --train.weight_decay 5e-4 --train.weight_decay_as l2",
        "python models_iic.py --train.schedule PiecewiseConstantDecay "
        '--train.schedule_args "{boundaries: [300, 500], values: [2e-3, 2e-4, 2e-5]}"',
    ],
    "test_heads.py::test_weights_start_as_the_options_say": [
        "python models_iic.py --heads.initializer RandomNormal "
        "--heads.initializer_args.stddev 0.01",
    ],
    "test_sweep.py::test_every_combination_is_trained_once_and_sorted": [
        "python benchmarks/sweep.py --set heads.initializer HeNormal HeUniform "
        "GlorotNormal GlorotUniform --by error",
    ],
    "test_data.py::test_a_limit_is_applied_before_a_recipe_is_chosen": [
        'python models_iic.py --data.recipe cifar10 --data.limit "[4096, 1024]"',
        "python models_iic.py --data.folder PHOTOS --data.labels folder --data.limit "
        "2000 --k 12",
    ],
    "test_catalogue.py::test_it_is_treated_like_ones_own_images": [
        "python models_iic.py --data.tfds eurosat/rgb --k 10",
    ],
    "test_clean.py::test_they_are_listed_and_nothing_is_deleted": [
        "python models_iic.py clean runs --steps 100",
    ],
    "test_choosing.py::test_the_quick_way_from_the_command_line": [
        "python models_iic.py choose-k --data.folder PHOTOS --method spectral",
        "python models_iic.py choose-k --data.recipe mnist_5000 --method spectral",
    ],
    "test_choosing.py::test_a_network_is_trained_with_the_number_of_the_graph": [
        "python models_iic.py choose-k --data.folder PHOTOS",
        "python models_iic.py choose-k runs/PHOTOS-1 --from 2 --to 40",
        "python models_iic.py --data.folder PHOTOS --k auto",
    ],
    "test_seeds.py::test_two_seeds_from_the_command_line": [
        "python models_iic.py --data.folder PHOTOS --k 12 --seeds 5",
    ],
    "test_graphs.py::test_networks_of_keras_applications_by_name": [
        "python models_iic.py --graph.name MobileNetV2 --data.augment.size 32",
    ],
}
"""Commands that a test or .ci/run runs, most of them on less data in fewer steps."""

LONG = """
python models_iic.py --train.steps 2000 --train.patience 3
pip install "tensorflow[and-cuda]>=2.21,<2.22"
pip install torch
python -m pytest --runslow tests/test_configs.py
python models_iic.py --data.images "$IMAGES" --k 4
python models_iic.py --data.images STREETS --data.recipe scenes --k 3
python benchmarks/convergence.py --data FOLDER --plot docs/convergence_seeds.png
python benchmarks/neighbours.py --data FOLDER
python benchmarks/neighbours.py --runs RUN
python benchmarks/ablation.py "--more=--data.recipe=mnist_5000"
python benchmarks/purity.py --data FOLDER --config configs/cifar10.yaml
python benchmarks/neighbours.py --images IMAGES --masks LABELS --merge \
"[0,1,1,2,2,3,1,1,255,255,255,255]"
python models_iic.py --data.folder signdigits --data.labels folder --k 10 --data.size \
32 --train.steps 300 --report.every 25
python benchmarks/against_reference.py
python benchmarks/train_step.py
python benchmarks/train_step.py --layers --precision mixed_bfloat16
python benchmarks/small_maps.py
python benchmarks/sweep.py --set train.precision float32 mixed_bfloat16 --set seed 0 \
1 2 3 4 "--more=--data.recipe=mnist_5000 --data.middle=false"
python models_iic.py --data.folder FOLDER --data.labels folder --k 22 --method \
spectral --data.middle true
python benchmarks/pipeline.py
python benchmarks/segmentation_loss.py --memory
python benchmarks/segmentation_loss.py --plot docs/segmentation_loss.png
python benchmarks/folder.py
python benchmarks/convergence.py --data FOLDER --seeds 0 1 2 3 4
python benchmarks/convergence.py --data FOLDER --seeds 41 42 43 44 45 \
--more=--train.steps=3000
python models_iic.py --data.recipe mnist_5000
python models_iic.py --data.folder PHOTOS --k 12 --graph.frozen true --graph.name \
MobileNetV2 --graph.args.weights imagenet
python benchmarks/embeddings.py --network lite0.keras
python benchmarks/embeddings.py --data FOLDER --features vectors.npy
python benchmarks/finetune.py --data FOLDER --run RUN --labels 100 600 6000
python benchmarks/folders.py FOLDERS --seeds 0 1 2
python benchmarks/unseen.py FOLDERS --fonts FONTS --cifar CIFAR
python benchmarks/folders.py FOLDERS --seeds 0 1
python benchmarks/signals.py --series FOLDER
python benchmarks/unequal.py
python benchmarks/baselines.py --folder FOLDER --k 10
python benchmarks/convergence.py --data FOLDER --seeds 0 1 2 3 4 --out \
runs/fashion_mnist --more=--data.recipe=fashion_mnist
python benchmarks/baselines.py --data FOLDER
python benchmarks/convergence.py --data FOLDER --seeds 0 1 2 --out runs/cifar10 \
--more=--config=configs/cifar10.yaml
python benchmarks/split_by_area.py FOLDER OUT
python benchmarks/kmeans_maps.py --images IMAGES --masks LABELS --k 3 --holdout
python benchmarks/kmeans_maps.py --images IMAGES --masks LABELS --k 3 --holdout \
--adapt
python models_iic.py --config configs/mnist_685_corrected.yaml
python models_iic.py --config configs/potsdam_3_545.yaml --data.dir FOLDER
python benchmarks/convergence.py --seeds 0 1 2 --out runs/camvid_3 \
"--more=--config=configs/camvid_3.yaml --data.images=IMAGES --data.masks=LABELS"
"""
"""Commands that no test runs, as they take minutes or hours or need data that lie
elsewhere. That their options are understood is tested all the same."""


def spans(page):
    """Inline code of a page, each on one line."""
    outside = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", outside)]


# --------------------------------------------------------------------------- the README


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_two_commands_are_there_and_ci_runs_the_second():
    assert BASH[0] == "pip install -r requirements.txt && python models_iic.py"
    tests = [line for line in BASH if "pytest" in line]
    assert tests == ['pip install -e ".[dev]" && python -m pytest']
    quiet = tests[0].replace("pip install", "pip install --quiet")
    assert quiet in (ROOT / ".ci" / "run").read_text()


def test_the_photographs_come_with_a_package():
    [found] = re.findall(r"IMAGES=\$\(python -c \"(.*)\"\)", "\n".join(BASH))
    call = [sys.executable, "-c", found]
    told = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    names = [item.name for item in find_items(Path(told.strip()), None)]
    assert {"china.jpg", "flower.jpg"} <= set(names)


@pytest.mark.long
def test_the_backbone_in_ten_lines_works(monkeypatch, digits_npz, tmp_path):
    _, code, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    known = dict(graphs.GRAPHS)
    monkeypatch.setattr(graphs, "GRAPHS", known)
    monkeypatch.setattr(graphs, "tiny", None, raising=False)
    exec(compile(code, "README.md", "exec"), vars(graphs))  # as if pasted there
    backbone = known["tiny"]((24, 24, 1), filters=4)
    assert backbone(np.zeros((2, 24, 24, 1))).shape == (2, 144)
    monkeypatch.setattr("iic_tf.tasks.cluster.draw_clusters", lambda *_, **__: [])
    mine = {"graph.name": "tiny", "graph.args.filters": 2}
    mine |= {"graph.args.fan_out_init": None, "graph.args.kernel": None}
    mine |= {"graph.args.stages": None}
    mine |= {"train.steps": 2, "report.every": 2}
    assert models_iic.main(words(digits_npz, tmp_path / "runs", **mine)) == 0


# ------------------------------------------------------------------------- all commands


def test_every_command_is_run_by_a_test_or_listed_as_long():
    listed = [line for lines in RUN_IN_SHORT.values() for line in lines]
    listed += [line for line in LONG.splitlines() if line]
    assert sorted(listed) == COMMANDS


@pytest.mark.parametrize("place", RUN_IN_SHORT)
def test_the_tests_that_run_commands_are_there(place):
    file, _, name = place.partition("::")
    text = (ROOT / file if not name else ROOT / "tests" / file).read_text()
    assert f"def {name}(" in text if name else text


class Understood(Exception):
    """A script has parsed its options, and need not go on."""


def options_of(function, *arguments, **named):
    """What a function that parses options has parsed; what follows is not done."""
    parse = argparse.ArgumentParser.parse_known_args

    def parse_alone(self, *words):
        found, unknown = parse(self, *words)
        assert not unknown
        raise Understood(found)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Understood) as caught:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", parse_alone)
        function(*arguments, **named)
    [found] = caught.value.args
    return found


def understand_run(words):
    if {"--help", "--print_config"} & set(words):
        with pytest.raises(SystemExit) as caught:
            models_iic.parse(words)
        assert caught.value.code == 0
        return
    if "--resume" in words:
        assert words == ["--resume", "latest"]
        return
    options = models_iic.parse(words)
    if options.graph.name != "tiny":  # that is the reader's
        name = options.graph.name or usual_graph(options)
        builder = graphs.find(name, task=task_of(options))
        given = dict(options.graph.args)
        if options.graph.frozen:  # for any backbone
            assert given.pop("weights")
        check_arguments(builder, given, option="graph.args")


PYTHON = sorted(
    {
        command
        for name, page in PAGES.items()
        if name != CAPABILITIES  # has a test of its own
        for line in (*bash_lines(page), *spans(page))
        for command in line.split(" && ")
        if command.startswith("python ")
    }
)


@pytest.mark.parametrize("command", PYTHON)
def test_every_command_is_understood(command, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    _, script, *words = shlex.split(command)
    if script == "-m":
        assert words[0] == "pytest"
        assert {word for word in words if word[0] == "-"} <= {"--runlong", "--runslow"}
        assert all(Path(word).exists() for word in words[1:] if word[0] != "-")
    elif script != "models_iic.py":
        assert Path(script).is_file()
        monkeypatch.syspath_prepend(ROOT / "benchmarks")
        monkeypatch.setattr(sys, "argv", [script, *words])
        found = options_of(runpy.run_path, script, run_name="__main__")
        understand_run(getattr(found, "more", "").split())
    elif words and words[0] in ("evaluate", "predict", "import-pytorch"):
        command, *words = [word for word in words if word != "--print-only"]
        least = 2 if command == "predict" else 1
        if command == "predict":
            _, words = _sorting(words)
        given = len(list(takewhile(lambda word: not word.startswith("-"), words)))
        assert given == least or (command == "predict" and given > least)
        understand_run(words[given:])
    elif words and words[0] == "choose-k":  # its other words are those of a run
        found, others = choice_parser().parse_known_args(words[1:])
        understand_run(others[others[:1] == ["runs/PHOTOS-1"] :])
    elif words and words[0] in models_iic.COMMANDS:
        options_of(models_iic.COMMANDS[words[0]], words[1:])
    else:
        understand_run(words)


@cache
def options_of_scripts():
    places = (ROOT / "benchmarks", ROOT / "commands", ROOT / "tutorial")
    texts = [path.read_text() for place in places for path in place.glob("*.py")]
    return set(re.findall(r'"--([\w-]+)"', "".join(texts)))


@pytest.mark.parametrize("name", sorted(PAGES.keys() - {CAPABILITIES}))
def test_every_option_named_is_there(name):
    known = known_options() | options_of_scripts()
    named = {
        option
        for span in spans(PAGES[name])
        for option in re.findall(r"(?<!\S)--([\w.-]+)", span)
    }
    lacking = {option for option in named if not option.startswith(FREE)} - known
    assert lacking == set()


# ------------------------------------------------------------------ links, names, plots


def anchors(page):
    """Names of the headings of a page, as GitHub makes them."""
    outside = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", x.lower()).replace(" ", "-") for x in headings}


def dead_links(place, page):
    """Relative links of a page that lead nowhere."""
    outside = re.sub(r"```.*?```|`[^`]+`", "", page, flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", outside):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / place).parent / path if path else ROOT / place
        text = target.read_text() if anchor and target.is_file() else ""
        if not target.exists() or (anchor and anchor not in anchors(text)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    assert dead_links(name, PAGES[name]) == []


@pytest.mark.parametrize("link", ["no.md", "results.md#nothing", "#nothing", "../no"])
def test_a_link_that_leads_nowhere_is_found(link):
    assert dead_links("docs/options.md", f"see [this]({link})") == [link]


def test_every_page_can_be_reached_from_the_readme():
    reached, new = set(), {"README.md"}
    while new:
        reached |= new
        targets = {
            ((ROOT / name).parent / link.partition("#")[0]).resolve()
            for name in new
            for link in re.findall(r"\]\(([^)\s]+\.md[^)\s]*)\)", PAGES[name])
        }
        new = {name for name in PAGES if ROOT / name in targets} - reached
    assert reached == PAGES.keys()


@pytest.mark.parametrize("name", PAGES)
def test_the_recipes_networks_and_files_named_are_there(name):
    page = PAGES[name]
    for recipe in re.findall(r"--data\.recipe (\w+)", page):
        known = data.RECIPES
        # one that the reader adds, as the page shows
        assert recipe in known or f'RECIPES["{recipe}"] =' in page
    for graph in re.findall(r"`(network_\w+|graph_\w+|vgg_\w)`", page):
        assert graph in {
            **graphs.GRAPHS,
            **graphs.SEGMENT_GRAPHS,
        }  # test_graphs.py builds
    for config in re.findall(r"`(\w+\.yaml)`", page):
        assert (ROOT / "configs" / config).is_file() or config == "options.yaml"


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_has_been_filled_in(name):
    assert not re.search(r"@[A-Z]+@", PAGES[name])


@pytest.mark.parametrize("name", PAGES)
def test_every_plot_is_there(name):
    plots = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGES[name])
    assert plots or name != "README.md"
    for plot in plots:
        path = (ROOT / name).parent / plot
        assert path.read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------------- the other pages


def test_the_compute_of_published_runs_is_what_their_files_say():
    rows = re.findall(r"^\| `(\w+)\.yaml` \| (.+) \| (.+) \|$",
                      PAGES["docs/reproduction.md"], re.MULTILINE)  # fmt: skip
    told = {name: (hardware, time) for name, hardware, time in rows}
    found = {}
    for path in (ROOT / "configs").glob("*_[0-9][0-9][0-9]*.yaml"):
        text = path.read_text()
        hardware, time = (
            re.search(rf"^#   {key} +(.*)", text, re.MULTILINE)[1]
            for key in ("hardware", "time")
        )
        [gpus] = re.findall(r"^(\w+) GPUs? of 2018", hardware)
        gpus = {"one": "1", "two": "2"}.get(gpus, gpus)
        found[path.stem] = (gpus, time.replace(" in the paper's log", ""))
    assert told == found


def test_the_map_of_the_code_has_the_layers_that_are_checked():
    page = PAGES["docs/architecture.md"]
    [drawing] = [x for x in re.findall(r"```\n(.*?)```", page, re.DOTALL) if "┌" in x]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [layers] = [
        contract["layers"]
        for contract in contracts["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    box = [line for line in drawing.splitlines() if re.match(" [┌│└]", line)]
    assert {len(line) for line in box} == {len(box[0])}
    rows = [line for line in box if re.match(r" │   \w", line)]
    assert len(rows) == len(layers)
    for row, layer in zip(rows, layers, strict=True):
        drawn = [part.split()[0] for part in row.split("│") if part.strip()]
        assert drawn == layer.split(" | ")


def test_a_data_set_is_added_as_shown(monkeypatch, tmp_path):
    page = PAGES["docs/architecture.md"]
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.setattr(data, "RECIPES", dict(data.RECIPES))
    monkeypatch.setattr(data, "shapes", None, raising=False)
    exec(compile(code, "architecture.md", "exec"), vars(data))  # as if pasted there
    np.save(tmp_path / "shapes.npy", np.zeros((12, 32, 32, 3), np.uint8))
    options = DataOptions(recipe="shapes", dir=str(tmp_path))
    name, _, source = data.find(options)
    assert name == "shapes" and source.splits["train"].images.shape[0] == 12
    with pytest.raises(UserError, match=r"shapes needs --data\.dir FOLDER"):
        data.find(DataOptions(recipe="shapes"))
