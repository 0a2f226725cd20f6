"""From the probabilities of a model to sequences: beam search, CTC, sampling."""
