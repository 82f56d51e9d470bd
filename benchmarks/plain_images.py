"""Two-level image models as plain PyTorch: what a researcher writes for one model and one seed.

The yardstick of `image_throughput.py`. It shares with `models/` nothing: modules,
torch.distributions, torch.optim.Adam, autograd as they come. VAE loss, standard prior; layers as in
experiments.md section 6.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence


class Gated(nn.Module):
    """f_h(x)·sigmoid(f_g(x))."""

    def __init__(self, h: nn.Module, g: nn.Module) -> None:
        super().__init__()
        self.h, self.g = h, g

    def forward(self, x: Tensor) -> Tensor:
        """Maps as the two layers do."""
        return self.h(x) * torch.sigmoid(self.g(x))


def conv(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> Gated:
    """Returns a gated convolution."""
    h, g = (nn.Conv2d(inputs, outputs, kernel, stride, padding) for _ in range(2))
    return Gated(h, g)


def dense(inputs: int, outputs: int) -> Gated:
    """Returns a gated linear layer."""
    return Gated(nn.Linear(inputs, outputs), nn.Linear(inputs, outputs))


class Masked(nn.Conv2d):
    """A 3×3 convolution that sees no later pixels."""

    mask: Tensor

    def __init__(self, inputs: int, strict: bool) -> None:
        super().__init__(inputs, 64, 3, padding=1, bias=False)
        mask = torch.ones_like(self.weight)
        mask[:, :, 1, 1 if strict else 2 :] = 0
        mask[:, :, 2] = 0
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, inputs, 28, 28) to (N, 64, 28, 28)."""
        return nn.functional.conv2d(x, self.weight * self.mask, padding=1)


class Gaussian(nn.Module):
    """Maps features to a Gaussian."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.mean, self.log_variance = nn.Linear(inputs, 40), nn.Linear(inputs, 40)

    def forward(self, h: Tensor) -> Independent:
        """Returns the Gaussian given features (N, inputs)."""
        scale = torch.exp(0.5 * self.log_variance(h).clamp(-6, 2))
        return Independent(Normal(self.mean(h), scale), 1)


def encoder(first: int, third: int) -> nn.Sequential:
    """Returns an encoder's convolutions."""
    return nn.Sequential(
        conv(1, 32, first, 1, first // 2),
        conv(32, 32, 3, 2, 1),
        conv(32, 64, third, 1, third // 2),
        conv(64, 64, 3, 2, 1),
        conv(64, 6, 3, 1, 1),
        nn.Flatten(),
    )


class PlainModel(nn.Module):
    """`convhvae_2level` or `pixelhvae_2level`."""

    def __init__(self, pixel: bool) -> None:
        super().__init__()
        self.pixel = pixel
        self.z2_convs, self.z2_head = encoder(7, 5), Gaussian(294)
        self.z1_convs, self.z1_z2 = encoder(3, 3), dense(40, 294)
        self.z1_head = nn.Sequential(dense(588, 300), Gaussian(300))
        self.p_z1 = nn.Sequential(dense(40, 300), dense(300, 300), Gaussian(300))
        width = 784 if pixel else 300
        self.from_z1, self.from_z2 = dense(40, width), dense(40, width)
        layers: list[nn.Module] = []
        if pixel:
            for inputs in (3, *[64] * 7):
                layers += [Masked(inputs, inputs == 3), nn.BatchNorm2d(64), nn.ReLU()]
        else:
            self.joint = dense(600, 784)
            layers += [conv(inputs, 64, 3, 1, 1) for inputs in (1, 64, 64, 64)]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(64, 1, 1), nn.Sigmoid(), nn.Flatten())

    def loss(self, x: Tensor, beta: float) -> Tensor:
        """Returns the mean loss of images with shape (N, 784)."""
        image = x.view(-1, 1, 28, 28)
        q_z2 = self.z2_head(self.z2_convs(image))
        z2 = q_z2.rsample()
        q_z1 = self.z1_head(torch.cat([self.z1_convs(image), self.z1_z2(z2)], dim=1))
        z1 = q_z1.rsample()
        a, b = self.from_z1(z1), self.from_z2(z2)
        if self.pixel:
            h = torch.cat([image, a.view(-1, 1, 28, 28), b.view(-1, 1, 28, 28)], dim=1)
        else:
            h = self.joint(torch.cat([a, b], dim=1)).view(-1, 1, 28, 28)
        p_x = Independent(Bernoulli(self.decoder(h).clamp(1e-5, 1 - 1e-5)), 1)
        p_z2 = Independent(Normal(torch.zeros(40), torch.ones(40)), 1)
        divergence = kl_divergence(q_z2, p_z2) + q_z1.log_prob(z1) - self.p_z1(z2).log_prob(z1)
        return (beta * divergence - p_x.log_prob(x)).mean()


def train(model: PlainModel, images: Tensor, batch_size: int) -> None:
    """Trains an epoch on levels with shape (N, 784)."""
    adam = torch.optim.Adam(model.parameters(), lr=5e-4)
    for levels in images[torch.randperm(len(images))].split(batch_size):
        loss = model.loss(torch.bernoulli(levels), beta=1.0)
        adam.zero_grad()
        loss.backward()
        adam.step()
