"""How fast does a translator with attention train? One whole step against plain torch scripts, in turn.

python benchmarks/translation.py [--seconds 20] [--threads 2] [--save FOLDER]

Two GRUs, one in both directions, additive attention between them, a softmax over 8,000 types. The plain scripts:

- tutorial: packed source, then a loop over the steps of the target, as tutorials have it: a GRU takes one step, the
  keys of the source are computed, attention reads it, the softmax predicts.
- at once: what torch does best where nothing is fed back: the GRU, attention and the softmax over all steps together.
- tutorial, fed: the loop with input feeding, which nobody can do at once.

64 pairs of the lengths that Multi30k has, label smoothing, Adam, the norm of the gradient clipped, no dropout, float32.
Both sides start from the same weights and read the same pairs, so their losses are the same, and they are compared.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from duel import duel, save
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.config import TrainingOptions
from recurra.lengths import IGNORE_INDEX
from recurra.models.translator import Translator, TranslatorOptions, TranslatorShape
from recurra.tasks.seq2seq import Batch
from recurra.training.optimizers import build_optimizer, clip_gradients

TYPES, EMBEDDING, HIDDEN = 8_000, 256, 256
PAIRS, SHORTEST, LONGEST = 64, 8, 22  # tokens; batches hold pairs of about one length
RATE, CLIP, SMOOTHING = 1e-3, 1.0, 0.1
SCRIPTS = (("tutorial", False, False), ("at once", False, True), ("tutorial, fed", True, False))


class PlainModel(nn.Module):
    """What one writes with torch alone."""

    def __init__(self, feeds: bool, at_once: bool) -> None:
        super().__init__()
        self.feeds, self.at_once = feeds, at_once
        self.source = nn.Embedding(TYPES, EMBEDDING)
        self.reader = nn.GRU(EMBEDDING, HIDDEN, bidirectional=True)
        self.target = nn.Embedding(TYPES, EMBEDDING)
        self.writer = nn.GRU(EMBEDDING * (2 if feeds else 1), HIDDEN)
        self.bridge = nn.Linear(2 * HIDDEN, HIDDEN)
        self.query = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.key = nn.Linear(2 * HIDDEN, HIDDEN)
        self.score = nn.Linear(HIDDEN, 1, bias=False)
        self.projection = nn.Linear(3 * HIDDEN, EMBEDDING)
        self.output = nn.Linear(EMBEDDING, TYPES)
        self.output.weight = self.target.weight

    def forward(self, batch: Batch) -> Tensor:
        sources, lengths = batch.source
        packed = pack_padded_sequence(self.source(sources), lengths, enforce_sorted=False)
        packed, last = self.reader(packed)
        memory, _ = pad_packed_sequence(packed)  # (source_time, batch, 2*hidden)
        state = self.bridge(torch.cat([last[0], last[1]], 1)).tanh().unsqueeze(0)
        padding = torch.arange(len(memory)).unsqueeze(1) >= lengths  # (source_time, batch)
        if self.at_once:
            hidden, _ = self.writer(self.target(batch.inputs), state)
            return self.predict(hidden, memory, padding)[1]
        found, logits = memory.new_zeros(1, PAIRS, EMBEDDING), []
        for tokens in batch.inputs.split(1):
            vector = self.target(tokens)
            hidden, state = self.writer(torch.cat([vector, found], 2) if self.feeds else vector, state)
            found, step = self.predict(hidden, memory, padding)
            logits.append(step)
        return torch.cat(logits)  # (time, batch, types)

    def predict(self, hidden: Tensor, memory: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        energy = torch.tanh(self.query(hidden).unsqueeze(1) + self.key(memory))  # (time, source_time, batch, hidden)
        scores = self.score(energy).squeeze(3).masked_fill(padding, -torch.inf)
        context = torch.einsum("tsb,sbf->tbf", scores.softmax(1), memory)
        found = self.projection(torch.cat([context, hidden], 2)).tanh()
        return found, self.output(found)


class Plain:
    """A training step in torch alone."""

    def __init__(self, feeds: bool, at_once: bool) -> None:
        self.model = PlainModel(feeds, at_once)
        for parameter in self.model.parameters():
            nn.init.uniform_(parameter, -0.08, 0.08)
        self.optimizer = torch.optim.Adam(self.model.parameters(), RATE)

    def step(self, batch: Batch) -> float:
        self.optimizer.zero_grad()
        logits = self.model(batch).flatten(0, 1)
        loss = F.cross_entropy(logits, batch.targets.flatten(), ignore_index=IGNORE_INDEX, label_smoothing=SMOOTHING)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        return loss.item()


class Ours:
    """The same as `recurra train` takes it."""

    def __init__(self, plain: PlainModel, feeds: bool) -> None:
        off = dict.fromkeys(["dropout", "embedding_dropout", "output_dropout", "memory_dropout"], 0)
        shape = TranslatorShape(TYPES, TYPES, LONGEST, LONGEST)
        sizes = {"embedding_size": EMBEDDING, "hidden_size": HIDDEN, "input_feeding": feeds}
        self.model = Translator(shape, TranslatorOptions(**sizes, **off))
        encoder, decoder = self.model.encoder, self.model.decoder
        attention = decoder.attention
        twins = [
            (encoder.embedding, plain.source), (encoder.recurrent, plain.reader), (decoder.embedding, plain.target),
            (decoder.recurrent, plain.writer), (decoder.bridge, plain.bridge), (attention.project_query, plain.query),
            (attention.project_memory, plain.key), (attention.combine, plain.score),
            (decoder.projection, plain.projection), (decoder.output, plain.output),
        ]  # fmt: skip
        for mine, theirs in twins:
            mine.load_state_dict(theirs.state_dict())
        self.options = TrainingOptions(optimizer="adam", learning_rate=RATE, clip_norm=CLIP, weight_decay=0)
        self.parameters = list(self.model.parameters())
        self.optimizer = build_optimizer(self.parameters, self.options)

    def step(self, batch: Batch) -> float:
        self.optimizer.zero_grad()
        features, _, _ = self.model.decoder(batch.inputs, self.model.encode(*batch.source))
        loss = self.model.decoder.loss(features, batch.targets, SMOOTHING) / batch.num_tokens
        loss.backward()
        clip_gradients(self.parameters, self.options)
        self.optimizer.step()
        return loss.item()


def batches() -> Iterator[Batch]:
    """Pairs of random tokens, the target a permutation of types applied to the source: something to learn."""
    shares = 1 / torch.arange(1, TYPES + 1, dtype=torch.float64)
    while True:
        length = int(torch.randint(SHORTEST, LONGEST, ()))
        lengths = torch.randint(max(length - 2, 4), length + 1, (PAIRS,))
        sources = torch.multinomial(shares, LONGEST * PAIRS, replacement=True).view(LONGEST, PAIRS)[: lengths.max()]
        targets = (sources * 7 + 1) % TYPES
        targets[torch.arange(len(targets)).unsqueeze(1) >= lengths] = IGNORE_INDEX
        inputs = torch.cat([torch.zeros_like(targets[:1]), targets[:-1].clamp(min=0)])
        yield Batch((sources, lengths), inputs, targets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, help="folder for translation.json and .md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    outcomes = {}
    for name, feeds, at_once in SCRIPTS:
        torch.manual_seed(1)
        plain = Plain(feeds, at_once)
        print(name)
        ours = Ours(plain.model, feeds)
        outcomes[name] = duel(plain, ours, batches(), lambda batch: batch.num_tokens, options.seconds)
    if options.save:
        save(outcomes, options.save, "translation")


if __name__ == "__main__":
    main()
