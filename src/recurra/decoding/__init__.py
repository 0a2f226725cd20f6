"""From a model's probabilities to sequences: beam search, CTC, sampling."""
