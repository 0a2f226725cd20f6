"""The output symbols of a speech recognizer: characters or words of transcripts, and the blank of CTC."""

import json
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recurra.errors import DataError, shortened

Unit: TypeAlias = Literal["character", "word"]

NUM_SHOWN = 12  # symbols in an error message


class Alphabet:
    """Symbols in the order of their ids, from 1 on; id 0 is the blank."""

    def __init__(self, symbols: Sequence[str], unit: Unit) -> None:
        self.symbols, self.unit = list(symbols), unit
        self.ids = {symbol: id for id, symbol in enumerate(symbols, 1)}

    def __len__(self) -> int:
        """Number of symbols, with the blank."""
        return len(self.symbols) + 1

    @classmethod
    def of(cls, transcripts: Iterable[str], unit: Unit) -> "Alphabet":
        """All symbols of some transcripts, sorted."""
        return cls(sorted({symbol for text in transcripts for symbol in symbols_of(text, unit)}), unit)

    @classmethod
    def parse(cls, text: str) -> "Alphabet":
        """The alphabet that `dump` wrote."""
        found = json.loads(text)
        return cls(found["symbols"], found["unit"])

    def dump(self) -> str:
        """The alphabet as JSON."""
        return json.dumps({"unit": self.unit, "symbols": self.symbols}, ensure_ascii=False, indent=2)

    def encode(self, transcript: str, place: str) -> NDArray[np.int64]:
        """Ids of a transcript, (symbols,); raises DataError with its place at a symbol that the alphabet lacks."""
        symbols = symbols_of(transcript, self.unit)
        unknown = [symbol for symbol in symbols if symbol not in self.ids]
        if unknown:
            shown = ", ".join(map(repr, self.symbols[:NUM_SHOWN]))
            raise DataError(
                f"{place}: {shortened(unknown[0])!r} in {shortened(transcript)!r} is no {self.unit} of the training "
                f"transcripts ({shown}{', ...' if len(self.symbols) > NUM_SHOWN else ''}); correct the transcript"
            )
        return np.array([self.ids[symbol] for symbol in symbols], np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids, without blanks among them."""
        return ("" if self.unit == "character" else " ").join(self.symbols[id - 1] for id in ids)


def symbols_of(transcript: str, unit: Unit) -> list[str]:
    """The symbols of a transcript, in which any white space counts as one space."""
    words = transcript.split()
    return words if unit == "word" else list(" ".join(words))
