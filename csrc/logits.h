// What a caller hands over for a softmax over a vocabulary.
#pragma once

#include <cstdint>

namespace recurra {

// Rows without gaps, elements of one type; nothing is aligned but the packed weights (see Kernels), and nothing
// overlaps what is written. The gradient of row i's loss with respect to its logits is left in `values`, but for a
// factor of its own, shares[i]: whoever multiplies with it multiplies a few features instead of all types.
struct Logits {
  bool is_double = false;
  std::int64_t rows = 0, features = 0, types = 0;

  // Read.
  const void* hidden = nullptr;           // (rows, features)
  const void* weights = nullptr;          // (types, features), packed as those of an Elman network
  const void* bias = nullptr;             // (types,)
  const std::int64_t* targets = nullptr;  // (rows,), each in 0 .. types - 1

  // Written, whatever stands there before.
  void* values = nullptr;  // (rows, types)
  void* losses = nullptr;  // (rows,)
  void* shares = nullptr;  // (rows,)
};

}  // namespace recurra
