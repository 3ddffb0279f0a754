"""The distillation loss against torch's KL divergence and against eq. 6 of the paper."""

import pytest
import torch
import torch.nn.functional as F

from tricks.distillation import distill_loss

STUDENT = torch.randn(8, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
TEACHER = 3 * torch.randn(8, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_equals_torchs_kl_divergence_with_batchmean_and_t_squared(temperature):
    theirs = F.kl_div(
        F.log_softmax(STUDENT / temperature, 1), F.softmax(TEACHER / temperature, 1), reduction="batchmean"
    )
    torch.testing.assert_close(distill_loss(STUDENT, TEACHER, temperature), temperature**2 * theirs)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_has_the_gradient_of_the_papers_cross_entropy(temperature):
    def gradient(loss):
        z = STUDENT.clone().requires_grad_()
        loss(z).backward()
        return z.grad

    paper = lambda z: temperature**2 * F.cross_entropy(z / temperature, F.softmax(TEACHER / temperature, 1))  # noqa: E731
    torch.testing.assert_close(gradient(lambda z: distill_loss(z, TEACHER, temperature)), gradient(paper))


def test_is_0_when_student_and_teacher_agree_also_where_a_probability_underflows():
    certain = torch.tensor([[1000.0, 0.0, -1000.0]])
    assert distill_loss(certain, certain, 1.0) == 0.0
    torch.testing.assert_close(distill_loss(STUDENT, STUDENT + 5, 4.0), torch.zeros((), dtype=torch.float64))


def test_t_squared_keeps_the_gradients_size():
    def norm(temperature, factor):
        z = STUDENT.clone().requires_grad_()
        (factor * distill_loss(z, TEACHER, temperature)).backward()
        return float(z.grad.norm())

    assert norm(40.0, 1) == pytest.approx(norm(20.0, 1), rel=0.1)  # with T², as in eq. 6
    assert norm(40.0, 40.0**-2) == pytest.approx(norm(20.0, 20.0**-2) / 4, rel=0.1)  # without it
