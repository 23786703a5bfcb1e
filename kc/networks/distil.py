"""Loss of a network that learns from labels and from a teacher."""

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
    r"""Return the cross entropy on labels plus the distillation loss [L20, born-again networks].

    .. math:: \mathrm{CE}(s, y) - w \tau^2 \frac1n \sum_i \sum_c
        \mathrm{softmax}(t_i / \tau)_c \log \mathrm{softmax}(s_i / \tau)_c

    The second term is the cross entropy with the teacher, not the Kullback-Leibler divergence:
    at ``student == teacher`` it has its minimum, the teacher's entropy (times tau^2).

    Parameters
    ----------
    student, teacher
        Logits. No gradient reaches the teacher.
    labels
        True classes.
    weight
        Weight of the distillation term.
    tau
        Temperature, above 0; the factor tau^2 keeps the size of the gradients.
    """
    wanted = F.softmax(teacher.detach() / tau, dim=1)
    distilled = -(wanted * F.log_softmax(student / tau, dim=1)).sum(1).mean()
    return F.cross_entropy(student, labels) + weight * tau**2 * distilled
