"""The equations in NumPy, float64, each forward beside its hand-derived backward; see docs/equations.md.

Written to be read and to be compared with, not to be fast. Time-major: (time, batch, features). Weights as in torch.nn.
"""

from recurra.reference.attention import (
    AdditiveScoreGradients,
    AttentionGradients,
    ConcatScoreGradients,
    DotScoreGradients,
    GeneralScoreGradients,
    additive_score_backward,
    additive_score_forward,
    attention_backward,
    attention_forward,
    concat_score_backward,
    concat_score_forward,
    dot_score_backward,
    dot_score_forward,
    general_score_backward,
    general_score_forward,
    zero_padding,
)
from recurra.reference.clipping import clip_by_norm, clip_by_value
from recurra.reference.composition import (
    BidirectionalGradients,
    StackedGradients,
    bidirectional_backward,
    bidirectional_forward,
    stacked_backward,
    stacked_forward,
)
from recurra.reference.crf import (
    CRFGradients,
    crf_backward,
    crf_forward,
    crf_log_partition,
    crf_path_score,
    crf_viterbi,
)
from recurra.reference.embedding import embedding_backward, embedding_forward
from recurra.reference.gru import GRUGradients, gru_backward, gru_cell_backward, gru_cell_forward, gru_forward
from recurra.reference.jacobian import (
    gru_cell_jacobian,
    lstm_cell_jacobian,
    lstm_cell_path,
    over_time,
    rnn_cell_jacobian,
)
from recurra.reference.lstm import LSTMGradients, lstm_backward, lstm_cell_backward, lstm_cell_forward, lstm_forward
from recurra.reference.output import OutputGradients, log_softmax, output_backward, output_forward, softmax
from recurra.reference.rnn import RNNGradients, rnn_backward, rnn_cell_backward, rnn_cell_forward, rnn_forward

__all__ = [
    "AdditiveScoreGradients",
    "AttentionGradients",
    "BidirectionalGradients",
    "CRFGradients",
    "ConcatScoreGradients",
    "DotScoreGradients",
    "GRUGradients",
    "GeneralScoreGradients",
    "LSTMGradients",
    "OutputGradients",
    "RNNGradients",
    "StackedGradients",
    "additive_score_backward",
    "additive_score_forward",
    "attention_backward",
    "attention_forward",
    "bidirectional_backward",
    "bidirectional_forward",
    "clip_by_norm",
    "clip_by_value",
    "concat_score_backward",
    "concat_score_forward",
    "crf_backward",
    "crf_forward",
    "crf_log_partition",
    "crf_path_score",
    "crf_viterbi",
    "dot_score_backward",
    "dot_score_forward",
    "embedding_backward",
    "embedding_forward",
    "general_score_backward",
    "general_score_forward",
    "gru_backward",
    "gru_cell_backward",
    "gru_cell_forward",
    "gru_cell_jacobian",
    "gru_forward",
    "log_softmax",
    "lstm_backward",
    "lstm_cell_backward",
    "lstm_cell_forward",
    "lstm_cell_jacobian",
    "lstm_cell_path",
    "lstm_forward",
    "output_backward",
    "output_forward",
    "over_time",
    "rnn_backward",
    "rnn_cell_backward",
    "rnn_cell_forward",
    "rnn_cell_jacobian",
    "rnn_forward",
    "softmax",
    "stacked_backward",
    "stacked_forward",
    "zero_padding",
]
