// What a build for one instruction set offers, and which of them this processor can run.
#pragma once

#include <vector>

#include "logits.h"
#include "scan.h"

namespace recurra {

struct Kernels {
  const char* name;
  int vector_bytes;
  // Elements of packed weights: (G hidden, columns), or for the way back the transpose of (G hidden, hidden).
  std::int64_t (*packed_size)(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, bool backward);
  void (*pack)(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, const void* weights, void* to,
               bool backward, int threads);
  void (*run)(const Scan& scan, int threads);
  // From (rows, columns) to (columns, rows); a stride is the distance of two rows, in elements.
  void (*transpose)(bool is_double, std::int64_t rows, std::int64_t columns, const void* from, std::int64_t from_stride,
                    void* to, std::int64_t to_stride, int threads);
  void (*cross_entropy)(const Logits& logits, int threads);
};

// Best first; the last runs everywhere.
std::vector<Kernels> supported_kernels();

}  // namespace recurra
