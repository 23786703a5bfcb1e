"""Cross entropy plus distillation, image by image and class by class, in float64."""

import math


def born_again_loss(student, teacher, labels, weight, tau):
    total = 0.0
    for s, t, label in zip(student, teacher, labels, strict=True):
        total += -math.log(softmax(s, 1.0)[label])
        for wanted, given in zip(softmax(t, tau), softmax(s, tau), strict=True):
            total += -weight * tau**2 * wanted * math.log(given)
    return total / len(labels)


def softmax(logits, tau):
    powers = [math.exp(float(value) / tau) for value in logits]
    return [power / sum(powers) for power in powers]
