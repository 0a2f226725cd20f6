// What a build for one instruction set offers, and which of them this processor can run.
#pragma once

#include <vector>

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
};

// Best first; the last runs everywhere.
std::vector<Kernels> supported_kernels();

}  // namespace recurra
