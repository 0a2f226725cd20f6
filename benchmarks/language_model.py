"""How fast does a language model train? One whole step against a plain torch script, interleaved in one process.

python benchmarks/language_model.py [--seconds 20] [--threads 2] [--save FOLDER]

Embedding, two LSTMs (256 and 128 units), softmax over 10,000 words, 60 lanes of 20 steps, plain SGD with the norm of
the gradient clipped, no dropout. Both sides start from the same weights and read the same tokens, so their losses are
the same, and they are compared.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from duel import duel, save
from torch import Tensor, nn

from recurra.config import TrainingOptions
from recurra.models.language_model import LanguageModel, LanguageModelOptions
from recurra.nn import linear_cross_entropy
from recurra.training.optimizers import build_optimizer, clip_gradients

WORDS, EMBEDDING, HIDDEN = 10_000, 200, (256, 128)
LANES, STEPS = 60, 20
RATE, CLIP = 1.0, 0.25


class PlainModel(nn.Module):
    """What one writes with torch alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, EMBEDDING)
        self.lower = nn.LSTM(EMBEDDING, HIDDEN[0])
        self.upper = nn.LSTM(*HIDDEN)
        self.output = nn.Linear(HIDDEN[1], WORDS)

    def forward(self, tokens: Tensor, states: list) -> tuple[Tensor, list]:
        lower, first = self.lower(self.embedding(tokens), states[0])
        upper, second = self.upper(lower, states[1])
        return self.output(upper), [first, second]


class Plain:
    """A training step in torch alone."""

    def __init__(self) -> None:
        self.model = PlainModel()
        self.optimizer = torch.optim.SGD(self.model.parameters(), RATE)
        self.states = [None, None]

    def step(self, batch: tuple[Tensor, Tensor]) -> float:
        inputs, targets = batch
        self.optimizer.zero_grad()
        logits, states = self.model(inputs, self.states)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.states = [tuple(part.detach() for part in state) for state in states]
        return loss.item()


class Ours:
    """The same as `recurra train` takes it."""

    def __init__(self, plain: PlainModel) -> None:
        off = {"dropout": 0, "embedding_dropout": 0, "output_dropout": 0}
        self.model = LanguageModel(WORDS, LanguageModelOptions(embedding_size=EMBEDDING, hidden_size=HIDDEN, **off))
        with torch.no_grad():
            for mine, theirs in zip(self.model.parameters(), plain.parameters(), strict=True):
                mine.copy_(theirs)
        self.options = TrainingOptions(optimizer="sgd", learning_rate=RATE, clip_norm=CLIP, weight_decay=0)
        self.parameters = list(self.model.parameters())
        self.optimizer = build_optimizer(self.parameters, self.options)
        self.state = None

    def step(self, batch: tuple[Tensor, Tensor]) -> float:
        inputs, targets = batch
        self.optimizer.zero_grad()
        hidden, state = self.model.hidden(inputs, self.state)
        output = self.model.output
        loss = linear_cross_entropy(hidden, output.weight, output.bias, targets) / targets.numel()
        loss.backward()
        clip_gradients(self.parameters, self.options)
        self.optimizer.step()
        self.state = self.model.detach(state)
        return loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, help="folder for language_model.json and .md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    plain = Plain()
    ours = Ours(plain.model)
    outcome = duel(plain, ours, batches(), lambda batch: batch[1].numel(), options.seconds)
    if options.save:
        save({"language model": outcome}, options.save, "language_model")


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets, window after window.

    Words by Zipf's law, each after the one before it in half of the cases: something to learn, so the losses fall.
    """
    shares = 1 / torch.arange(1, WORDS + 1, dtype=torch.float64)
    tokens = torch.multinomial(shares, LANES, replacement=True).unsqueeze(0)
    while True:
        drawn = torch.multinomial(shares, STEPS * LANES, replacement=True).view(STEPS, LANES)
        rows = [tokens[-1]]
        for row in drawn:
            rows.append(torch.where(torch.rand(LANES) < 0.5, (rows[-1] * 7 + 1) % WORDS, row))
        tokens = torch.stack(rows)
        yield tokens[:-1], tokens[1:]


if __name__ == "__main__":
    main()
