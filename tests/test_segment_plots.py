import numpy as np

from iic_tf.report.segment_plots import iou_lines


def test_of_many_classes_the_most_frequent_are_told():
    counts = np.zeros((2, 128), int)
    counts[0, 3:40] = np.arange(37) + 1
    counts[1, 100] = 297
    ious = {f"c{i}": None if n == 0 else 0.5 for i, n in enumerate(counts.sum(axis=0))}
    lines = iou_lines(ious, counts)
    assert len(lines) == 11
    assert lines[0] == "IoU 0.5000  c31, 3 % of the pixels"
    assert lines[9] == "IoU 0.5000  c100, 30 % of the pixels"
    assert lines[10] == (
        "IoU of 118 more classes in summary.json, 90 of them without pixels"
    )
    lines = iou_lines({"a": 0.25, "\x1b[1m": None}, np.array([[4, 0], [0, 0]]))
    assert lines == [
        "IoU 0.2500  a, 100 % of the pixels",
        "IoU -       \\x1b[1m, 0 % of the pixels",
    ]
