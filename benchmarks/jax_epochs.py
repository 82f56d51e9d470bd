"""A peer of `peers.py`: an epoch of R seeds in JAX, as one who is in a hurry writes it.

One jitted function is an epoch of one seed: a `lax.scan` over minibatches that are drawn in it,
and the test pass. `vmap` makes it many seeds (the form "vmap"), or `lax.map` one after the other
("map"). Features come before items, which takes XLA half the time of the usual order. With "rbg"
in the form random numbers are XLA's own (`unsafe_rbg`), else threefry. Needs JAX alone: `peers.py`
runs it in an environment of its own.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax, random
from turns import BATCH, ITEMS, LOG_2PI, STEPS, Shape, mixture, rate, take_turns

Weights = dict[str, dict[str, Array]]


def network(key: Array, inputs: int, hidden: int, outputs: int) -> dict[str, Array]:
    """Returns the weights of a hidden layer and of what leads to mean and log-scale."""
    keys = random.split(key, 4)

    def uniform(key: Array, fan_in: int, *shape: int) -> Array:
        return random.uniform(key, shape, minval=-1.0, maxval=1.0) / fan_in**0.5

    return {
        "w1": uniform(keys[0], inputs, hidden, inputs),
        "b1": uniform(keys[1], inputs, hidden, 1),
        "w2": uniform(keys[2], hidden, 2 * outputs, hidden),
        "b2": uniform(keys[3], hidden, 2 * outputs, 1),
    }


def gaussian(weights: dict[str, Array], x: Array) -> tuple[Array, Array]:
    """Returns mean and σ given x with shape (inputs, B)."""
    hidden = jnp.tanh(weights["w1"] @ x + weights["b1"])
    mean, log_scale = jnp.split(weights["w2"] @ hidden + weights["b2"], 2, axis=0)
    return mean, jnp.exp(log_scale) + 1e-6


def log_prob(x: Array, mean: Array | float = 0.0, scale: Array | float = 1.0) -> Array:
    """Returns the log-density of a Gaussian at x with shape (F, B): nats, (B,)."""
    return (-0.5 * ((x - mean) / scale) ** 2 - jnp.log(scale) - 0.5 * LOG_2PI).sum(0)


def losses(model: str, weights: Weights, x: Array, noise: Array) -> list[Array]:
    """Returns the loss of each direction; `noise` has those of z, of the anchor and of x."""
    mean, scale = gaussian(weights["encoder"], x)
    z_dim = mean.shape[0]
    z = mean + scale * noise[:z_dim]
    log_p_x = log_prob(x, *gaussian(weights["decoder"], z))
    if model == "vae":
        return [(log_prob(z, mean, scale) - log_prob(z) - log_p_x).mean()]
    encoder = -(log_p_x + log_prob(z)).mean()
    z = noise[z_dim : 2 * z_dim]
    mean, scale = gaussian(weights["decoder"], z)
    x = mean + scale * noise[2 * z_dim :]
    log_p_x = log_prob(x, mean, scale)
    log_q = log_prob(z, *gaussian(weights["encoder"], x)) + log_p_x
    return [encoder, -0.5 * (log_p_x + log_prob(z) + log_q).mean()]


def trainer(shape: Shape) -> Any:  # noqa: ANN401
    """Returns a function that trains an epoch of all seeds and gives the mean test loss."""
    if "rbg" in shape.form:
        jax.config.update("jax_default_prng_impl", "unsafe_rbg")
    means, sigma = mixture(shape.x_dim)
    centres = jnp.array(means)
    width = shape.z_dim if shape.model == "vae" else 2 * shape.z_dim + shape.x_dim

    def drawn(key: Array) -> tuple[Array, Array]:
        keys = random.split(key, 3)
        labels = random.randint(keys[0], (ITEMS,), 0, len(centres))
        points = centres[labels] + sigma * random.normal(keys[1], (ITEMS, shape.x_dim))
        points = points[: STEPS * BATCH].reshape(STEPS, BATCH, shape.x_dim).mT
        return points, random.normal(keys[2], (STEPS, width, BATCH))

    def loss(weights: Weights, x: Array, noise: Array) -> Array:
        return sum(losses(shape.model, weights, x, noise), jnp.zeros(()))

    def step(lr: Array, state: Any, batch: Any) -> Any:  # noqa: ANN401
        weights, first, second, count = state
        gradients = jax.grad(loss)(weights, *batch)
        count += 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        pace, root = lr / (1 - 0.9**count), (1 - 0.999**count) ** 0.5
        weights = jax.tree.map(
            lambda w, m, v: w - pace * m / (jnp.sqrt(v) / root + 1e-8), weights, first, second
        )
        return (weights, first, second, count), None

    def epoch(state: Any, key: Array, lr: Array) -> Any:  # noqa: ANN401
        keys = random.split(key)
        state, _ = lax.scan(lambda s, b: step(lr, s, b), state, drawn(keys[0]))
        found = lax.map(
            lambda b: jnp.stack(losses(shape.model, state[0], *b)).mean(), drawn(keys[1])
        )
        return state, found.mean()

    def start(key: Array) -> Any:  # noqa: ANN401
        keys = random.split(key)
        weights = {
            "encoder": network(keys[0], shape.x_dim, shape.mid_dim, shape.z_dim),
            "decoder": network(keys[1], shape.z_dim, shape.mid_dim, shape.x_dim),
        }
        zeros = jax.tree.map(jnp.zeros_like, weights)
        return weights, zeros, zeros, jnp.zeros(())

    def of_all(state: Any, keys: Array, lr: Array) -> Any:  # noqa: ANN401
        if "map" in shape.form.split("-"):
            return lax.map(lambda each: epoch(each[0], each[1], lr), (state, keys))
        return jax.vmap(epoch, (0, 0, None))(state, keys, lr)

    compiled = jax.jit(of_all, donate_argnums=0)
    seeds = jax.vmap(random.key)(jnp.arange(shape.runs))
    state = jax.vmap(start)(seeds)

    def train(number: int) -> float:
        nonlocal state
        keys = jax.vmap(lambda key: random.fold_in(key, number))(seeds)
        state, found = compiled(state, keys, jnp.float32(rate(number)))
        return float(found.mean())

    return train


if __name__ == "__main__":
    take_turns(trainer)
