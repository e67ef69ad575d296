import json

import numpy as np
import pytest
import tensorflow as tf

from iic_tf.errors import UserError, naming
from iic_tf.run_folder import write_atomically
from iic_tf.training.checkpoints import Checkpoints, History, fingerprint, manifest

RESULTS = {"main_loss": np.array([-1.1, 0.1]), "main_joint": np.array([[1 / 3, 2.0]])}


def test_history_adds_up_sums_and_steps():
    history = History()
    history.add(RESULTS, steps=10)
    history.add({name: 2 * value for name, value in RESULTS.items()}, steps=30)
    sums = history.take()
    assert sums["steps"] == 40
    np.testing.assert_allclose(sums["main_loss"], RESULTS["main_loss"] * 3)
    np.testing.assert_allclose(sums["main_joint"], RESULTS["main_joint"] * 3)
    assert history.pending == {}


def test_history_survives_exactly():
    history = History()
    history.add({"main_loss": np.float32([1 / 3, 1e-30])}, steps=3)
    history.rows.append({"step": 1, "words": ["λ"]})
    history.seconds = 0.1 + 0.2
    again = History()
    again.deserialize(history.serialize())
    assert again.rows == history.rows and again.seconds == history.seconds
    np.testing.assert_array_equal(
        again.pending["main_loss"], history.pending["main_loss"]
    )


def test_history_file_can_be_read_back(tmp_path):
    history = History()
    history.rows = [{"step": 1, "errors": [0.5]}, {"step": 2, "errors": [0.25]}]
    history.write(tmp_path / "history.jsonl")
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history.rows


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, 3)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.fixture
def parts():
    return {"step": tf.Variable(0, dtype=tf.int64), "history": History()}


def test_the_newest_two_are_kept_and_the_newest_is_read(tmp_path, parts):
    checkpoints = Checkpoints(tmp_path / "c", **parts)
    for step in (10, 20, 30):
        parts["step"].assign(step)
        parts["history"].seconds = float(step)
        checkpoints.save(step)
    names = {path.name.split(".")[0] for path in (tmp_path / "c").iterdir()}
    assert names == {"checkpoint", "ckpt-20", "ckpt-30"}
    parts["step"].assign(0)
    Checkpoints(tmp_path / "c", **parts).restore()
    assert (int(parts["step"]), parts["history"].seconds) == (30, 30.0)


@pytest.mark.parametrize("damage", ["cut", "gone", "garbage"])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, parts, damage):
    checkpoints = Checkpoints(tmp_path / "c", **parts)
    for step in (10, 20):
        parts["step"].assign(step)
        checkpoints.save(step)
    [newest] = (tmp_path / "c").glob("ckpt-20.data*")
    if damage == "cut":
        newest.write_bytes(newest.read_bytes()[:-7])
    elif damage == "gone":
        newest.unlink()
    else:
        (tmp_path / "c" / "ckpt-20.index").write_bytes(b"garbage")
    again = Checkpoints(tmp_path / "c", **parts)
    assert again.restore().endswith("ckpt-10")
    assert int(parts["step"]) == 10


def test_a_half_written_checkpoint_is_not_read(tmp_path, parts):
    parts["step"].assign(10)
    Checkpoints(tmp_path / "c", **parts).save(10)
    # what a process leaves that dies while it writes the next one
    (tmp_path / "c" / "ckpt-20.data-00000-of-00001.tempstate1").write_bytes(b"half")
    (tmp_path / "c" / "ckpt-20.index").write_bytes(b"half")
    again = Checkpoints(tmp_path / "c", **parts)
    assert again.restore().endswith("ckpt-10")


def test_without_a_checkpoint_there_is_a_sentence(tmp_path, parts):
    with pytest.raises(UserError, match="no checkpoint to resume from"):
        Checkpoints(tmp_path / "c", **parts).restore()


def test_another_network_is_refused(tmp_path, tiny_model, parts):
    Checkpoints(tmp_path / "c", model=tiny_model(), **parts).save(1)
    other = Checkpoints(tmp_path / "c", model=tiny_model(k=7), **parts)
    with pytest.raises(UserError, match="can be loaded into this network"):
        other.restore()


def test_fingerprint_tells_images_apart(digits):
    images = digits[0][:10]
    assert fingerprint(images) == fingerprint(images.copy())
    changed = images.copy()
    changed[3, 4, 5] ^= 1
    assert fingerprint(images) != fingerprint(changed)


def test_manifest_says_what_a_run_depends_on(digits):
    images = digits[0][:10]
    facts = manifest(devices=["CPU:0"], origin="here", images=images, material=images)
    assert facts["tensorflow"] == tf.__version__
    assert facts["data_shape"] == [10, 28, 28, 1]
    json.dumps(facts)


@pytest.mark.parametrize("damage", [None, b"", b"\x00\xff\x93 not text", b"a: ["])
def test_checkpoints_are_found_without_the_file_that_lists_them(
    tmp_path, parts, damage, capfd
):
    folder = tmp_path / "c"
    checkpoints = Checkpoints(folder, **parts)
    for step in (8, 20, 100):
        parts["step"].assign(step)
        checkpoints.save(step)
    pointer = folder / "checkpoint"
    pointer.unlink() if damage is None else pointer.write_bytes(damage)
    again = Checkpoints(folder, **parts)
    parts["step"].assign(0)
    assert again.last_step == 100  # by number, not by name
    assert again.restore().endswith("ckpt-100") and int(parts["step"]) == 100
    again.save(120)  # the list is mended, and the oldest goes
    names = {path.name.split(".")[0] for path in folder.iterdir()}
    assert names == {"checkpoint", "ckpt-100", "ckpt-120"}
    assert Checkpoints(folder, **parts).last_step == 120
    assert capfd.readouterr().err == ""


def test_what_was_passed_over_is_known(tmp_path, parts):
    checkpoints = Checkpoints(tmp_path / "c", **parts)
    for step in (10, 20):
        checkpoints.save(step)
    (tmp_path / "c" / "ckpt-20.index").write_bytes(b"garbage")
    again = Checkpoints(tmp_path / "c", **parts)
    again.restore()
    [reason] = again.passed_over
    assert reason.startswith("ckpt-20: ")


def test_what_a_kill_has_left_is_removed_at_the_next_save(tmp_path, parts):
    folder = tmp_path / "c"
    checkpoints = Checkpoints(folder, **parts)
    checkpoints.save(10)
    (folder / "ckpt-20_temp").mkdir()
    (folder / "ckpt-20_temp" / "part-00000-of-00001.index").write_bytes(b"half")
    (folder / "ckpt-20.data-00000-of-00001.tempstate1").write_bytes(b"half")
    checkpoints.save(20)
    names = {path.name.split(".")[0] for path in folder.iterdir()}
    assert names == {"checkpoint", "ckpt-10", "ckpt-20"}
    assert not list(folder.glob("*temp*"))


def test_an_error_of_the_file_system_names_the_file(tmp_path, parts):
    with pytest.raises(OSError, match=r"No space left on device.*/summary\.json"):
        with naming(tmp_path / "summary.json"):
            raise OSError(28, "No space left on device")
    told = "{{function_node __wrapped__SaveV2}} a/part-0.tempstate1; No space left on"
    with pytest.raises(
        OSError, match=r"^\[Errno 28\] No space left on device: .*ckpt-4'$"
    ):
        with naming(tmp_path / "ckpt-4"):
            raise tf.errors.ResourceExhaustedError(None, None, f"{told} device [Op:S]")
    (tmp_path / "c").write_text("where the folder should be")
    with pytest.raises(OSError, match="ckpt-1'"):
        Checkpoints(tmp_path / "c", **parts).save(1)
