"""Networks of users that can't be trained in a stack: each told before anything trains."""

import os
import re
from pathlib import Path

import pytest

from tests.odd.users import line_of, write
from tests.orchestrator.commands import mimsweep, refused

NETWORK = """
import numpy as np
import torch
from torch import nn
from mimsweep import register


class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.one, self.two = nn.Linear(inputs, 8), nn.Linear(8, outputs)
        # set

    def forward(self, x):
        h = torch.tanh(self.one(x))
        # call
        return self.two(h)


def make(inputs, outputs, spec):
    net = Net(inputs, outputs)
    # make
    return net


register.network("mine", make)
"""
"""A good network, which a test makes worse."""

SWEEP = """
name: s
fixed: {dataset: toy4, mid_dim: 4, epochs: 2, warmup: 1, batch_size: 64, encoder: mine}
grid: {model: [vae]}
"""
STACKED = (
    "torch.vmap, by which runs are stacked, doesn't take it: "
    f"mine.py:{line_of(NETWORK, '# call')}: RuntimeError: "
)


def changed(set_: str = "", call: str = "", make: str = "") -> str:
    """The network with lines more where it is made, called, and made by `make`."""
    module = NETWORK
    for place, line in (("# set", set_), ("# call", call), ("# make", make)):
        module = module.replace(place, line or place)
    return module


MADE = [
    ("return None", "make returned NoneType; it must return a torch.nn.Module"),
    ("return net.forward", "make returned method; it must return a torch.nn.Module"),
    ("return Net", "make returned the class Net; it must return a module made of it"),
    ("net.double()", "its parameter one.weight is of torch.float64; it must be of torch.float32"),
    ("net.two.half()", "its parameter two.weight is of torch.float16; it must be of"),
    ("net.to('meta')", "its parameter one.weight is on the device meta; make it on the CPU"),
    ("net.two = nn.LazyLinear(outputs)", "its parameter two.weight isn't made yet; give its layer"),
    ("net.requires_grad_(False)", "it has no parameters that get a gradient: nothing is learned"),
    ("net = nn.Identity()", "it has no parameters that get a gradient: nothing is learned"),
    ("net.two = nn.Sequential(net.two, nn.BatchNorm1d(outputs))", "its layer two.1, BatchNorm1d,"),
    ("net.two.bn = nn.BatchNorm1d(8, track_running_stats=False)", "; use nn.LayerNorm or nn.Group"),
    ("net.norm = nn.InstanceNorm1d(1, track_running_stats=True)", "make it with track_running_s"),
    ("net.one = nn.Sequential(net.one, nn.Dropout(0.1))", "its layer one.1, Dropout, draws random"),
    ("net.mix = nn.TransformerEncoderLayer(8, 2)", "its layer mix.self_attn, MultiheadAttention,"),
    ("net = nn.DataParallel(net)", "its layer itself, DataParallel, can't be stacked"),
    ("net.one = globals().setdefault('one', net.one)", "make returned the same one.weight, one.b"),
    ("net.one.bias.data += np.random.rand()", "make returned other values of one.bias when it was"),
    ("net.one.bias.data += float('nan')", "its one.bias isn't finite at its start"),
    ("net.two = nn.Linear(8, torch.randint(99, ()))", "parameters of other names or shapes when"),
    ("torch.manual_seed(1); net = Net(inputs, outputs)", "make seeds torch, and all runs would"),
    ("net.register_buffer('r', torch.rand(8))", "its buffers r are others for another seed; make"),
]  # fmt: skip

CALLED = [
    ("return self.two(h)[:, 1:]", "it returned shape (12, 3) for (12, 2); it must be (12, 4): (B,"),
    ("return self.two(h).T", "it returned shape (4, 12) for (12, 2); it must be (12, 4): (B, out"),
    ("return self.two(h).double()", "it returned a tensor of torch.float64; it must be of torch.f"),
    ("return self.two(h), h", "it returned tuple; it must return a tensor"),
    ("return self.two(h).detach().numpy()", "it returned ndarray; it must return a tensor"),
    ("return self.two(h.log())", "its output is nan at its start, of items as the runs have them"),
    ("h = h + torch.rand(8)", "it came to other values for the same items when it was called"),
    ("h = nn.functional.dropout(h, 0.5)", "it came to other values for the same items when it was"),
    ("self.n = getattr(self, 'n', 0) + 1; h = h * self.n", "no random numbers, no counters"),
    ("h = h if self.training else 2 * h", "it came to other values in eval() than in train()"),
    ("h = h - h.mean(0)", "its output of an item depends on the other items of the minibatch"),
    ("h = h.cumsum(0)", "its output of an item depends on the other items of the minibatch"),
    ("x.sub_(1)", "it changes its input as it is called; nothing but training may"),
    ("self.one.bias.data.mul_(0.9)", "it changes its parameter one.bias as it is called; nothing"),
    ("return self.two(h).detach()", "its output depends on no parameter, or was detached from"),
    ("h = h + (h - h).sqrt()", "isn't finite at its start"),
    ("h = h if self.one.bias.sum() > 0 else -h", f"{STACKED}vmap: It looks like you're attempting"),
    ("h = h * self.one.bias.sum().item()", f"{STACKED}vmap: It looks like you're calling .item()"),
    ("h = torch.where(h > 0, h, 0); h[h > 1] = 1", f"{STACKED}vmap: We do not support batching"),
    ("h = h + vars(self).setdefault('m', x.mean())", "its output of an item depends on the other"),
    ("o = torch.zeros(len(x), 8); o[:, 0] = h[:, 0]; h = o", f"{STACKED}vmap: inplace arithmetic"),
]  # fmt: skip

BOTH = [
    ("self.r = torch.rand(8)", "h = h * self.r", "tensors that are neither parameters nor buffers"),
    ("self.register_buffer('n', torch.zeros(()))", "self.n += 1", "it changes its buffer n as it"),
    ("self.gru = nn.GRU(8, 8)", "h = self.gru(h[None])[0][0]", f"{STACKED}Batching rule not"),
]  # fmt: skip

EVERY = [
    *((changed(make=line), sentence) for line, sentence in MADE),
    *((changed(call=line), sentence) for line, sentence in CALLED),
    *((changed(set_, call), sentence) for set_, call, sentence in BOTH),
]


@pytest.mark.parametrize(("module", "sentence"), EVERY, ids=[sentence for _, sentence in EVERY])
def test_what_it_is_is_told_before_the_start(users: Path, module: str, sentence: str) -> None:
    write(users, module, SWEEP)
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(f"encoder mine (mine.py:{line_of(module, 'def make')}): ")
    assert sentence in told
    assert {"mine.py", "s.yaml"} >= set(os.listdir(users)) - {"__pycache__"}


RAISING = [
    (changed(make="1 / 0"), "1 / 0", "ZeroDivisionError: division by zero"),
    (changed(make="raise SystemExit(3)"), "SystemExit", "SystemExit: 3"),
    (changed(make="spec.heads"), "spec.heads", "AttributeError: spec has no heads; it has dat"),
    (changed(make="spec.z_dim = 3"), "spec.z_dim", "AttributeError: spec.z_dim can't be set: it"),
    (changed(call="h = h @ torch.zeros(3)"), "zeros(3)", "RuntimeError: size mismatch"),
    (changed(call="h = h.view(12, 8)"), "view(12", "RuntimeError: shape '[12, 8]' is invalid"),
    (NETWORK.replace("def forward", "def other"), "def make", "NotImplementedError: Module [Net]"),
    (NETWORK.replace(", spec)", ")"), "def make", "TypeError: make() takes 2 positional arguments"),
    (
        changed(make="net = nn.Sequential(nn.Linear(3, 4))"),
        "def make",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (12x2 and 3x4)",
    ),
]


@pytest.mark.parametrize(("module", "line", "sentence"), RAISING)
def test_what_it_raises_is_told_with_its_place(
    users: Path, module: str, line: str, sentence: str
) -> None:
    write(users, module, SWEEP)
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(f"mine.py:{line_of(module, line)}: {sentence}")


def test_a_decoder_that_its_latents_learn_nothing_from_is_told(users: Path) -> None:
    module = NETWORK.replace("self.one(x)", "self.one(x.detach())")
    write(users, module, SWEEP.replace("encoder:", "decoder:"))
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(f"decoder mine (mine.py:{line_of(module, 'def make')}): its output does")


def test_a_place_that_cannot_be_stacked_is_told_with_what_to_write_instead(users: Path) -> None:
    write(users, changed(call="h = h if self.one.bias.sum() > 0 else -h"), SWEEP)
    told = refused(mimsweep("run", "s.yaml"))
    assert told.endswith(
        "data-dependent control flow. We don't support that yet; take torch.where for `if` and for "
        "masks, x.new_zeros for what is written into, nn.GRUCell for nn.GRU"
    )


SWEEPS = [
    ("encoder: mine", "encoder: mime", "mime is not allowed; allowed: mlp, mine; did you mean min"),
    (
        "encoder: mine",
        "encoder: mine, width: 4",
        "fixed.width: no such field; allowed: dataset, ",
    ),
    ("vae", "convhvae_2level", "toy4 is not allowed with model convhvae_2level"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), SWEEPS)
def test_what_a_sweep_says_of_it_is_checked(users: Path, old: str, new: str, sentence: str) -> None:
    write(users, NETWORK, SWEEP.replace(old, new))
    assert sentence in refused(mimsweep("validate", "s.yaml"))


def test_an_image_model_has_no_network_of_a_users(users: Path) -> None:
    sweep = SWEEP.replace("toy4, mid_dim: 4", "omniglot").replace("vae", "convhvae_2level")
    write(users, NETWORK, sweep)
    told = refused(mimsweep("validate", "s.yaml"))
    assert "encoder: mine is not allowed with model convhvae_2level, which has no encoder" in told


def test_our_own_name_is_refused(users: Path) -> None:
    module = NETWORK.replace('"mine"', '"mlp"')
    write(users, module, SWEEP)
    told = refused(mimsweep("validate", "s.yaml"))
    assert f"mine.py:{line_of(module, 'register.')}: mlp is a network of ours" in told


def test_a_search_tries_it_at_all_corners_of_its_space(users: Path) -> None:
    module = changed(make="net = net if spec.mid_dim < 9 else None")
    write(
        users,
        module,
        "name: s\nfixed: {dataset: toy4, model: vae, epochs: 2, warmup: 1, encoder: mine}\n"
        "space: {mid_dim: {int: [4, 9]}}\nseeds: [1]\ntrials: 2\n"
        "objective: {metric: nll, direction: minimize}\n",
    )
    told = refused(mimsweep("search", "s.yaml"))
    assert "make returned NoneType" in told


def test_what_it_does_later_fails_its_runs_alone(users: Path) -> None:
    """The items that it is tried on are few, and its parameters those of its start."""
    module = changed(call="if len(x) > 12: raise ValueError('late')")
    sweep = SWEEP.replace(", encoder: mine", "")
    write(users, module, sweep.replace("[vae]", "[vae], encoder: [mine, mlp]"))
    done = mimsweep("run", "s.yaml", "--engine", "inline", "--retries", "0")
    assert done.exit_code == 1, done.output
    place = f"mine.py:{line_of(module, 'late')}: ValueError: late"
    (failed,) = re.findall(r"^(\S+) failed: (.*)$", done.stderr, re.MULTILINE)
    assert failed[0].endswith("encoder_mine")
    assert place in failed[1]
