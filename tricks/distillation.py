"""Knowledge distillation: learn from a larger network's answers as well as from the labels (§5.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def distill_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T² · ℓ(softmax(r / T), softmax(z / T)), averaged over the rows: the second term of eq. 6 (§5.3).

    z = `logits` (N, K), r = `teacher_logits` (N, K). The paper adds it to the loss on the labels as it is, without a
    mixing weight. ℓ is written as the KL divergence: it differs from the paper's cross-entropy by the teacher's
    entropy, which has no gradient in z, and is 0 when student and teacher agree. T² keeps the gradient's size about the
    same for every T.
    """
    teacher = F.softmax(teacher_logits / temperature, dim=1)
    student = F.log_softmax(logits / temperature, dim=1)
    return temperature**2 * (torch.xlogy(teacher, teacher) - teacher * student).sum(dim=1).mean()
