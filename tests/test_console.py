import contextlib
import os
import time

from iic_tf.report.console import (
    Stopwatch,
    Training,
    _Console,
    at_work,
    attempted,
    clock,
    console,
    counted,
)


def test_clock():
    assert [clock(s) for s in (5, 65, 3725)] == ["0:05", "1:05", "1:02:05"]


def test_time_within_something_else_counts_only_there(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch()

    @watch.time("reports")
    def report():
        now[0] += 5

    with watch.time("steps"):
        now[0] += 60
        report()
        report()
    assert watch.seconds == {"steps": 60, "reports": 10}
    assert str(watch) == "steps 1:00, reports 0:10"


def test_plain_lines_in_a_pipe(capsys):
    with Training(steps=100, start=20, images_per_step=30) as training:
        training.advance(60)
        training.report(60, ["All is well."])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 60 of 100")
    assert "elapsed" in lines[0] and "left" in lines[0] and "images/s" in lines[0]
    assert lines[1] == "  All is well."
    assert len(lines) == 2  # no remains of the live line


def test_a_reader_that_leaves_ends_nothing():
    read, write = os.pipe()
    told = _Console(file=os.fdopen(write, "w"), width=80)
    told.print("heard")
    assert os.read(read, 100) == b"heard\n" and not told.closed
    os.close(read)
    told.print("unheard")
    told.print("unheard, too")
    assert told.closed
    with contextlib.suppress(BrokenPipeError):
        told.file.close()


def test_a_pipe_is_not_silent_for_long(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    training = Training(
        steps=100, start=0, images_per_step=30, state=lambda step: f"loss -{step}.00"
    )
    for step in range(1, 10):
        now[0] = 5.0 * step
        training.advance(step)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("   ")[:2] for line in lines] == [
        ["step 4 of 100", "loss -4.00"],
        ["step 8 of 100", "loss -8.00"],
    ]
    training.report(10, [])  # a report is no silence either
    now[0] += 15
    training.advance(11)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_step_is_told_once_if_a_report_tells_it(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    training = Training(steps=25, start=0, images_per_step=30, report_every=10)
    for step in (5, 10, 15, 20, 25):
        now[0] += 20.0
        training.advance(step)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["5", "15"]


def test_work_without_lines_is_told_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr("iic_tf.report.console.PATIENCE", 0.6)
    with at_work("working"), counted("reading images") as update:
        update(40, 50)
        time.sleep(2)
        console.print("a line")
    time.sleep(1.5)  # whatever spoke is silent now
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "still reading images, 40 of 50 (0:01)"
    assert 2 <= len(lines) <= 4 and lines[-1] == "a line"


def test_work_that_speaks_for_itself_is_left_alone(capsys, monkeypatch):
    monkeypatch.setattr("iic_tf.report.console.PATIENCE", 1.2)
    with at_work("working"):
        for _ in range(8):
            time.sleep(0.3)
            console.print("a line")
    assert capsys.readouterr().out == "a line\n" * 8


def test_no_name_steers_the_terminal(capsys):
    console.print("[bold]:smile: a\x1b[2Jb\rc\nnext")
    assert capsys.readouterr().out == "[bold]:smile: a\\x1b[2Jb\\rc\nnext\n"


def test_a_picture_that_fails_is_told(capsys):
    with attempted("clusters.png"):
        raise ValueError("no font\nand more")
    assert capsys.readouterr().out == "clusters.png could not be drawn: no font\n"
