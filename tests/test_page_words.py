from dataclasses import replace

import numpy as np
import pytest

from iic_tf.evaluation.confidence import Calibration
from iic_tf.evaluation.health import measure
from iic_tf.evaluation.results import BY_LOSS, Choice, Results
from iic_tf.report.page_words import (
    Facts,
    advice,
    alike,
    count,
    overlap,
    percent,
    sentences,
)


def facts(
    soft, joint=None, *, agreement=None, duplicates=0, outliers=0, restarted=None, **how
):
    k = soft.shape[1]
    joint = np.eye(k)[None] if joint is None else joint
    results = Results(
        measure(joint), len(soft), soft=soft[:, None], choice=Choice(0, BY_LOSS), **how
    )
    found = (agreement, duplicates, outliers, len(soft))
    return Facts(results, 500, *found, restarted=restarted)


def even(n=40, k=4, sure=0.94):
    soft = np.full((n, k), (1 - sure) / (k - 1))
    soft[np.arange(n), np.arange(n) % k] = sure
    return soft


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.0001, "under 0.1 %"),
        (0.004, "0.4 %"),
        (0.93, "93 %"),
        (0.998, "99.8 %"),
        (1, "100 %"),
    ],
)
def test_shares_are_as_exact_as_they_need_to_be(share, text):
    assert percent(share) == text


def test_numbers_go_with_their_nouns():
    assert count(1, "image") == "1 image" and count(2000, "pair") == "2,000 pairs"


def test_a_good_run_is_told_so():
    told = " ".join(sentences(facts(even(), agreement=(0.99, 0.98))))
    assert "40 images in 4 clusters, all of them in use" in told
    assert "1.39 nats, 100 % of the most" in told and "That is high" in told
    assert "0.94 on average. It is below 0.5 for no image" in told
    assert "do not depend on which one is taken" in told and "labels" not in told
    assert len(advice(facts(even()))) == 1


def test_agreement_of_sub_heads_with_one_start_is_no_evidence():
    told = " ".join(sentences(facts(even(), agreement=(1.0, 1.0), restarted=1310)))
    assert "restarted from the same clusters at step 1,310. Whether" in told
    told = " ".join(sentences(facts(even(), agreement=(1.0, 1.0))))
    assert "restarted" not in told


def test_labels_are_told_where_there_are_some():
    counts = np.array([[[9, 1], [0, 10]]])
    told = " ".join(sentences(facts(even(20, 2), counts=counts)))
    assert "By the labels 5.0 % of the images are in the wrong cluster" in told


def test_confidence_is_that_of_the_results():
    known = facts(even())
    sure = np.full(40, 0.9)
    sure[:4] = 0.6
    calibrated = known.results.choice._replace(
        calibration=Calibration(0, [[0, 1, 2, 3]], [1.0] * 4)
    )
    results = replace(known.results, confidence=sure, choice=calibrated)
    told = " ".join(sentences(replace(known, results=results, unsure=0.7)))
    assert "0.87 on average. It is below 0.7 for 4 images (10 %), called unsure" in told
    assert "calibrated without labels" in told


def test_what_went_wrong_leads_to_advice():
    soft = np.tile([0.36, 0.34, 0.3, 0.0], (40, 1))
    bad = facts(
        soft, np.ones((1, 4, 4)), agreement=(0.5, 0.3), duplicates=2, outliers=1
    )
    told = advice(bad)
    assert "almost no information" in told[0]
    assert "Try k = 1" not in told[1] and "3 clusters of 4 have" in told[1]
    assert any("disagree" in line for line in told)
    assert any("Clusters 0 and 1 overlap most: 24 %" in line for line in told)
    assert any("2 pairs of near-duplicates" in line for line in told)
    assert any("1 image far from all others" in line for line in told)
    assert "That is low" in " ".join(sentences(bad))


def test_overlap_is_what_soft_assignments_share():
    soft = np.array([[0.5, 0.5, 0], [0, 0, 1]])
    np.testing.assert_allclose(overlap(soft), [[0, 0.25, 0], [0.25, 0, 0], [0, 0, 0]])
    assert alike(soft) == [(1, 0.5), (0, 0.5), None]
