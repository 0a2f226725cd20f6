"""Attention: where in the memory of an encoder a decoder looks at each of its steps."""

from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError, UsageError
from recurra.lengths import check_lengths, valid_steps

Score: TypeAlias = Literal["additive", "dot", "general", "concat"]


class Memory(NamedTuple):
    """What an encoder wrote, made ready by `Attention.prepare`: all that stays from target step to target step."""

    keys: Tensor  # (batch, source_time, attention), what scores are computed from
    values: Tensor  # (batch, source_time, memory), 0 in the padding
    mask: Tensor  # (batch, source_time), True where valid

    def select(self, rows: Tensor) -> "Memory":
        """Pick sequences, as a beam search does.

        Args:
            rows: places along the batch axis, integer (picked,); repeats are allowed.

        Returns:
            Memory of `picked` sequences.
        """
        return Memory(*(part.index_select(0, rows) for part in self))


class Attention(nn.Module):
    """Mean of a memory, weighted for each query by how well it fits: softmax over the source of a score.

    The score of query q and memory m is v . tanh(W_q q + W_m m + b) (additive), q . m (dot), q . (W m) (general), or
    v . tanh(W_q q + W_m m) (concat, with W = [W_q W_m]). The query of a step may be the decoder's state before it
    (Bahdanau) or after it (Luong): that is the caller's choice.

    Args:
        query_size: width of a query.
        memory_size: width of a step of the memory.
        score: additive, dot, general or concat.
        attention_size: width of the layer inside additive and concat; None for query_size.

    Raises:
        UsageError: a size below 1, no such score, an attention_size for a score that has none, or dot with queries and
            memory of different widths.

    Source: Bahdanau et al. 2015; Luong et al. 2015; docs/equations.md, Attention.
    """

    def __init__(
        self, query_size: int, memory_size: int, *, score: Score = "additive", attention_size: int | None = None
    ) -> None:
        super().__init__()
        if score not in get_args(Score):
            raise UsageError(f"Attention score: expected one of {', '.join(get_args(Score))}, got {score!r}")
        sizes = {"query_size": query_size, "memory_size": memory_size, "attention_size": attention_size}
        for name, size in sizes.items():
            if size is not None and size < 1:
                raise UsageError(f"Attention {name}: expected at least 1, got {size}")
        self.query_size, self.memory_size, self.score = query_size, memory_size, score
        self.project_query: nn.Module = nn.Identity()
        self.project_memory: nn.Module = nn.Identity()
        self.combine: nn.Linear | None = None
        if score in ("additive", "concat"):
            width = attention_size or query_size
            self.project_query = nn.Linear(query_size, width, bias=False)
            self.project_memory = nn.Linear(memory_size, width, bias=score == "additive")
            self.combine = nn.Linear(width, 1, bias=False)
        elif attention_size is not None:
            raise UsageError(f"Attention attention_size: expected None with score {score!r}, got {attention_size}")
        elif score == "general":
            self.project_memory = nn.Linear(memory_size, query_size, bias=False)
        elif query_size != memory_size:
            raise UsageError(
                f"Attention score 'dot': expected equal sizes, got query_size {query_size} and memory_size "
                f"{memory_size}; use general"
            )

    def prepare(self, memory: Tensor, lengths: Tensor) -> Memory:
        """Compute once what does not depend on the queries.

        Args:
            memory: what the encoder wrote, (source_time, batch, memory_size); in the padding anything.
            lengths: valid steps of each sequence, integer (batch,).

        Returns:
            Memory, for every call of forward that reads these sequences.

        Raises:
            ShapeError: memory is not of this shape, or lengths do not belong to it.
        """
        if memory.dim() != 3 or memory.shape[2] != self.memory_size:
            raise ShapeError(
                f"Attention memory: expected (source_time, batch, {self.memory_size}), got {tuple(memory.shape)}; "
                "the last axis must equal memory_size"
            )
        time, batch, _ = memory.shape
        check_lengths(lengths, time, batch)
        mask = valid_steps(lengths.to(memory.device), time).t().contiguous()  # (batch, source_time)
        values = torch.where(mask.unsqueeze(2), memory.transpose(0, 1), 0).contiguous()  # (batch, source_time, memory)
        return Memory(self.project_memory(values), values, mask)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Read the memory, once for each query.

        Args:
            queries: of one target step or of many, (target_time, batch, query_size).
            memory: of these sequences, from `prepare`.

        Returns:
            context (target_time, batch, memory_size); and the weights (target_time, batch, source_time), which add up
            to 1 over the valid steps and are 0 in the padding. Both are 0 where the source has length 0. They can be
            differentiated once.

        Raises:
            ShapeError: queries are not of this shape.
        """
        if queries.dim() != 3 or queries.shape[1:] != (len(memory.mask), self.query_size):
            raise ShapeError(
                f"Attention queries: expected (target_time, {len(memory.mask)}, {self.query_size}), got "
                f"{tuple(queries.shape)}; (batch of the memory, query_size)"
            )
        scores = self._scores(self.project_query(queries), memory.keys)  # (target_time, batch, source_time)
        scores = scores.masked_fill(~memory.mask, torch.finfo(scores.dtype).min)  # of a smaller type under autocast
        weights = torch.where(memory.mask, scores.softmax(2), 0)
        context = torch.bmm(weights.transpose(0, 1), memory.values)  # (batch, target_time, memory)
        return context.transpose(0, 1), weights

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        return f"{self.query_size}, {self.memory_size}, score={self.score!r}"

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Score of each pair, (target_time, batch, source_time)."""
        if self.combine is None:
            return torch.bmm(queries.transpose(0, 1), keys.transpose(1, 2)).transpose(0, 1)
        v = self.combine.weight[0]
        scores: Tensor = _AdditiveScores.apply(queries.to(v.dtype), keys.to(v.dtype), v)
        return scores


class _AdditiveScores(torch.autograd.Function):
    """v . tanh(query + key) of each pair, its gradient by hand; docs/equations.md, Attention, backward.

    tanh(a) is 1 - 2r with r = sigmoid(-2a), which torch computes several times faster. All pairs are the largest tensor
    of a decoder, and one target step of them at a time stays in the processor's cache. Autocast leaves products alone
    that write to a given tensor, so the precision is that of the arguments.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, v: Tensor) -> Tensor:
        """Of queries (target_time, batch, attention), keys (batch, source_time, attention) and v (attention,)."""
        products = queries.new_empty(len(queries), *keys.shape[:2])  # (target_time, batch, source_time)
        steps = []
        for query, product in zip(queries.unsqueeze(2) * -2, products, strict=True):
            steps.append(torch.add(query, keys, alpha=-2).sigmoid_())  # (batch, source_time, attention)
            torch.mv(steps[-1].flatten(0, 1), v, out=product.view(-1))
        ctx.save_for_backward(v, *steps)
        return v.sum() - 2 * products

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_scores: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The slope of tanh is 4r(1 - r), whose 4 is left for the end."""
        v, *steps = ctx.saved_tensors
        time, batch, source = d_scores.shape
        d_queries, d_keys = v.new_empty(time, batch, len(v)), v.new_zeros(batch, source, len(v))
        d_products, slopes = torch.zeros_like(v), torch.empty_like(d_keys)
        for r, d_score, d_query in zip(steps, d_scores, d_queries, strict=True):
            d_products.addmv_(r.flatten(0, 1).t(), d_score.flatten())
            torch.addcmul(r, r, r, value=-1, out=slopes)
            torch.bmm(d_score.unsqueeze(1), slopes, out=d_query.unsqueeze(1))
            d_keys.addcmul_(d_score.unsqueeze(2), slopes)
        return d_queries.mul_(4 * v), d_keys.mul_(4 * v), d_scores.sum() - 2 * d_products, None
