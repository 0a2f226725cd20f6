// What a build for one instruction set offers, and which of them this processor can run.
#pragma once

#include <vector>

#include "logits.h"
#include "plan.h"
#include "scan.h"

namespace recurra {

// Packed weights begin at a multiple of `vector_bytes`; no other memory need be aligned. What a call reads and what it
// writes do not overlap, but for what Scan says. No call keeps an address beyond its return.
struct Kernels {
  const char* name;
  int vector_bytes;
  // Elements of packed weights: (G hidden, columns), or for the way back the transpose of (G hidden, hidden).
  std::int64_t (*packed_size)(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, bool backward);
  // Reads weights (G hidden, columns), writes all of `to` (packed_size elements). For the way back columns = hidden.
  void (*pack)(Cell cell, bool is_double, std::int64_t hidden, std::int64_t columns, const void* weights, void* to,
               bool backward, int threads);
  // What a scan offers to threads, for plan_threads; from its sizes alone.
  Work (*work)(const Scan& scan);
  void (*run)(const Scan& scan, int threads);
  // Reads `from` (rows, columns), writes `to` (columns, rows); a stride is the distance of two rows, in elements. What
  // lies between rows is neither read nor written.
  void (*transpose)(bool is_double, std::int64_t rows, std::int64_t columns, const void* from, std::int64_t from_stride,
                    void* to, std::int64_t to_stride, int threads);
  void (*cross_entropy)(const Logits& logits, int threads);
};

// Best first; the last runs everywhere.
std::vector<Kernels> supported_kernels();

}  // namespace recurra
