"""Test-time views against the sums written out, as airbench has them, and what a record says of them."""

from dataclasses import replace

import pytest
import test_train
import torch
import torch.nn.functional as F
from test_train import TINY, dataset, train_rows

from tricks import metrics
from tricks.after.test_time import VIEWS, WEIGHTS, mean_logits, view
from tricks.course import lab_run
from tricks.records import make
from tricks.records.make import judge, prepare
from tricks.records.statistics import value
from tricks.records.store import Run
from tricks.train import epochs

own_cache = test_train.own_cache  # the fixture: records and weights in a folder of the test's own


def of_all(name, x, net):
    return mean_logits([net(view(x, *which)) for which in VIEWS[: len(WEIGHTS[name])]], WEIGHTS[name])


def by_hand(x, net):
    """The mean over mirror images, and that half and half with the same of the picture a pixel off, both ways."""

    def mirror(x):
        return 0.5 * net(x) + 0.5 * net(x.flip(-1))

    around = F.pad(x, (1,) * 4, mode="reflect")
    shifted = [around[:, :, :-2, :-2], around[:, :, 2:, 2:]]
    return {"flip": mirror(x), "crops": 0.5 * mirror(x) + 0.5 * torch.stack([mirror(s) for s in shifted]).mean(0)}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_logits_are_those_written_out(name):
    torch.manual_seed(0)
    x = torch.randn(5, 3, 12, 12).contiguous(memory_format=torch.channels_last)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.Flatten(), torch.nn.Linear(100, 7))
    torch.testing.assert_close(of_all(name, x, net), by_hand(x, net)[name])
    assert sum(WEIGHTS[name]) == 1
    symmetric = of_all(name, x.flip(-1), net) if name == "flip" else of_all("flip", x, net)
    torch.testing.assert_close(symmetric, of_all("flip", x, net))  # a picture and its mirror image get the same answer


def test_a_record_has_them_beside_its_metrics_and_training_is_as_before(own_cache):
    recipe = replace(TINY, test_views=True)
    run = make.run(recipe, 0, progress=lambda _: None)
    plain = make.run(TINY, 0, progress=lambda _: None)
    assert run.rows == plain.rows == train_rows(TINY)
    assert {key: run.final[key] for key in plain.final} == plain.final
    parts = prepare(recipe, 0, dataset())
    list(epochs(recipe, parts))
    with torch.no_grad():
        expected = by_hand(torch.cat([x for x, _ in parts.test]), parts.model.eval())
    for name, logits in expected.items():
        assert value(run, f"{name}.nll") == pytest.approx(metrics.nll(logits, parts.test.labels), rel=1e-4)
        assert value(run, f"{name}.accuracy") == metrics.accuracy(logits, parts.test.labels)
        assert set(run.final[name]) == set(plain.final)
    assert judge(recipe, parts)["flip"]["nll"] == run.final["flip"]["nll"]


def test_the_trick_lab_has_them_too_and_counts_their_work(own_cache):
    recipe, shares = replace(TINY, epochs=1, test_views=True, ema_decay=0.5, ema_bn=True), []
    blank = Run("lab", recipe, 0, [], {})
    finished = lab_run.train(blank, dataset(), lambda _, share: shares.append(share), lambda _: None)
    assert finished.final == make.run(recipe, 0, progress=lambda _: None).final
    assert shares == sorted(shares) and 0.9 < shares[-1] < 1
