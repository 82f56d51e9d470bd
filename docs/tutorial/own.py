"""Residual convolutions for images of 8 x 8 pixels, and a loss that rewards information."""

import math

import torch
from torch import nn

from mimsweep import register


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, h):
        return h + self.second(torch.relu(self.first(torch.relu(h))))


def from_pixels(inputs, outputs, spec):
    image = nn.Unflatten(1, (1, 8, 8))
    first = nn.Conv2d(1, spec.mid_dim, 3, stride=2, padding=1)
    last = nn.Linear(16 * spec.mid_dim, outputs)
    return nn.Sequential(image, first, Residual(spec.mid_dim), nn.ReLU(), nn.Flatten(), last)


def to_pixels(inputs, outputs, spec):
    first = nn.Linear(inputs, 16 * spec.mid_dim)
    image = nn.Unflatten(1, (spec.mid_dim, 4, 4))
    last = nn.Linear(16 * spec.mid_dim, outputs)
    return nn.Sequential(first, image, Residual(spec.mid_dim), nn.ReLU(), nn.Flatten(), last)


def rewarded(model, x, noise, beta, *, reward):
    """VAE's loss, less `reward` for each nat of I(x; z) as the minibatch has it."""
    q_z = model.encode(x)
    z = q_z.sample(noise.z)
    log_q = q_z.log_prob_of_sample(noise.z)
    log_mean = q_z.log_prob(z.unsqueeze(1)).logsumexp(1) - math.log(len(x))
    rate, information = log_q - model.log_p_z(z), log_q - log_mean
    return beta * (rate - reward * information) - model.decode(z).log_prob(x)


register.network("from_pixels", from_pixels)
register.network("to_pixels", to_pixels)
register.loss("rewarded", rewarded, fields={"reward": 0.0})
