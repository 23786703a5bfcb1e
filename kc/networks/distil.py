"""The loss a network learns from labels and from a teacher with."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def born_again_loss(
    student: Float[Tensor, "n classes"],
    teacher: Float[Tensor, "n classes"],
    labels: Int[Tensor, " n"],
    weight: float = 0.5,
    tau: float = 1.0,
) -> Float[Tensor, ""]:
    r"""Cross entropy on labels plus distillation from a teacher [L20, born-again networks].

    .. math:: \mathrm{CE}(s, y) - w \tau^2 \frac1n \sum_i \sum_c
        \mathrm{softmax}(t_i / \tau)_c \log \mathrm{softmax}(s_i / \tau)_c

    The second term is the cross entropy with the teacher, not the Kullback-Leibler divergence:
    at ``student == teacher`` it is the teacher's entropy (times tau^2), its least value.

    Parameters
    ----------
    student, teacher
        Logits. No gradient reaches the teacher.
    labels
        True classes.
    weight
        Of the distillation term.
    tau
        Temperature, above 0; tau^2 keeps the gradients' size whatever it is.
    """
    wanted = F.softmax(teacher.detach() / tau, dim=1)
    distilled = -(wanted * F.log_softmax(student / tau, dim=1)).sum(1).mean()
    return F.cross_entropy(student, labels) + weight * tau**2 * distilled
